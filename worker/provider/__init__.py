"""The provider's API: the only package that imports aiohttp's client and the provider's credentials library."""
