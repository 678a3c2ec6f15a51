"""What an operator's surfaces share: dead letters, holds, the state of lanes."""
