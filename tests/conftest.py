"""What every test stands on: an environment without our settings, and real servers for those who ask for them."""

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings

from deploy.local.stack import Stack
from tests.signals import default_signals

_OURS = ("SMS_WORKER_", "ALIBABA_CLOUD_")
_numbers = count(1)

# An example of a property has no time limit (by default 200 ms): on a busy machine it would measure the neighbours.
settings.register_profile("ours", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have an account or a configuration of their own: no test may see them."""
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _default_signals() -> Iterator[None]:
    """Tests send signals to what they start, and may themselves be started with signals ignored, as background jobs."""
    with default_signals():
        yield


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One RabbitMQ and one Redis for the whole run; when they cannot be had the tests fail, they are never skipped."""
    with Stack() as running:
        yield running


@pytest.fixture
def namespace() -> str:
    """A namespace of topology and keys that no other test of this run has."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def amqp_url(stack: Stack, namespace: str) -> Iterator[str]:
    """The address of a virtual host of the test's own."""
    yield stack.rabbitmq.add_vhost(namespace)
    stack.rabbitmq.delete_vhost(namespace)


@pytest.fixture
def redis_url(stack: Stack) -> str:
    """The address of an empty Redis database."""
    return stack.redis.add_database()
