"""The decisions, as pure functions over frozen values: no clock, no dice, no I/O, no logging, no event loop."""
