"""What goes out: outcomes, retries and dead letters, as messages and as records."""
