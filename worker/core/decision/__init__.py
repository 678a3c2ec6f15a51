"""What an outcome means: for the request, and for everybody else's."""
