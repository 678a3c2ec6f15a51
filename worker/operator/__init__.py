"""What an operator's surfaces share: dead letters, holds, limits, the state of lanes."""
