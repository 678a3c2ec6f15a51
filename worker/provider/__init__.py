"""The provider's API: the only package that calls over HTTP, and that imports the provider's credentials library."""
