"""What a configuration allows though it should not last."""

from worker.settings.address import BROKER, ENDPOINT, REDIS, parse, unverified
from worker.settings.sections import Settings


def weaknesses(settings: Settings) -> list[tuple[str, str]]:
    """Each address by which others can read or answer in the place of a neighbour: its key, and what it has."""
    addresses = (("broker.url", settings.broker.url, BROKER), ("redis.url", settings.redis.url, REDIS))
    found = [
        (key, option) for key, url, form in addresses for option in unverified(parse(url.get_secret_value(), form))
    ]
    endpoint = parse(settings.provider.endpoint, ENDPOINT)
    if endpoint.scheme == "http" and not endpoint.is_loopback:
        found.append(("provider.endpoint", "http://"))
    return found
