"""What happened to a request, and what can become of it."""
