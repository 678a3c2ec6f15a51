"""What the operator chose: read, checked, and turned into the values that the core decides with."""
