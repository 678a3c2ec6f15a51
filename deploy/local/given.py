"""Servers whose addresses were given in the environment: they are used, never started, stopped or emptied.

``SMS_STACK_AMQP_URL``, ``SMS_STACK_REDIS_URL``, and for tests, each of which wants its own virtual host,
``SMS_STACK_MANAGEMENT_URL`` (http://user:password@host:15672).
"""

from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from deploy.local.error import StackError
from deploy.local.management import Management

AMQP: Final = "SMS_STACK_AMQP_URL"
REDIS: Final = "SMS_STACK_REDIS_URL"
MANAGEMENT: Final = "SMS_STACK_MANAGEMENT_URL"


class Given:
    """A server of somebody else."""

    def __init__(self, url: str, variable: str) -> None:
        """Use the server at *url*, which stood in *variable*."""
        self.url = url
        self._variable = variable

    def start(self) -> None:
        """Nothing to do: it is there, or its user will say that it is not."""

    def stop(self) -> None:
        """Refuse."""
        self._refuse()

    def kill(self) -> None:
        """Refuse."""
        self._refuse()

    def restart(self) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StackError(f"only a server that was started here can be stopped or emptied: unset {self._variable}")


class GivenRabbitMQ(Given):
    """A RabbitMQ of somebody else."""

    def __init__(self, url: str, management: str | None) -> None:
        """Use the broker at *url*, and its HTTP API at *management* for virtual hosts."""
        super().__init__(url, AMQP)
        self._api = management

    def url_of(self, vhost: str) -> str:
        """The address of *vhost*."""
        return urlunsplit(urlsplit(self.url)._replace(path="/" + quote(vhost, safe="")))

    def ctl(self, *_: str) -> str:
        """Refuse."""
        self._refuse()

    def flush(self) -> None:
        """Refuse."""
        self._refuse()

    def add_vhost(self, name: str) -> str:
        """Create the virtual host *name* and return its address."""
        self.management.add_vhost(name)
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Delete the virtual host *name* with all that is in it."""
        self.management.delete_vhost(name)

    @property
    def management(self) -> Management:
        """Its HTTP API."""
        if self._api is None:
            raise StackError(f"{AMQP} is given: give {MANAGEMENT} too, or unset both")
        return Management(self._api)


class GivenRedis(Given):
    """A Redis of somebody else."""

    def __init__(self, url: str) -> None:
        """Use the server at *url*."""
        super().__init__(url, REDIS)

    def add_database(self) -> str:
        """Its address as it is: what is in there is not ours to empty, the namespace keeps apart."""
        return self.url

    def wipe(self) -> None:
        """Refuse."""
        self._refuse()


def rabbitmq(environment: Mapping[str, str]) -> GivenRabbitMQ | None:
    """The broker that *environment* gives, if it does."""
    url = environment.get(AMQP)
    return GivenRabbitMQ(url, environment.get(MANAGEMENT)) if url else None


def redis(environment: Mapping[str, str]) -> GivenRedis | None:
    """The Redis that *environment* gives, if it does."""
    url = environment.get(REDIS)
    return GivenRedis(url) if url else None
