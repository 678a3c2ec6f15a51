"""RabbitMQ's HTTP API: what tests need many times, in some milliseconds where ``rabbitmqctl`` takes a second."""

import base64
import http.client
import json
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from deploy.local.error import StackError

#: Seconds that an answer may take on a busy machine.
_PATIENCE: Final = 30


class Management:
    """The API of the node at *url*, for example ``http://guest:guest@127.0.0.1:15672``."""

    def __init__(self, url: str) -> None:
        """Nothing is called yet."""
        parts = urlsplit(url)
        self._user = unquote(parts.username or "guest")
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 15672
        login = f"{self._user}:{unquote(parts.password or 'guest')}"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
            "Content-Type": "application/json",
        }

    def add_vhost(self, name: str) -> None:
        """Create the virtual host *name*, open to the user of the address."""
        self._call("PUT", f"/api/vhosts/{quote(name, safe='')}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._call("PUT", f"/api/permissions/{quote(name, safe='')}/{quote(self._user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete the virtual host *name* with all that is in it; its connections are closed."""
        self._call("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def add_user(self, name: str, password: str, vhost: str, rights: tuple[str, str, str]) -> None:
        """Create the user *name* with *rights* to configure, write and read in *vhost*, as regular expressions."""
        self._call("PUT", f"/api/users/{quote(name, safe='')}", {"password": password, "tags": ""})
        permissions = dict(zip(("configure", "write", "read"), rights, strict=True))
        self._call("PUT", f"/api/permissions/{quote(vhost, safe='')}/{quote(name, safe='')}", permissions)

    def delete_user(self, name: str) -> None:
        """Delete the user *name*; its connections are closed."""
        self._call("DELETE", f"/api/users/{quote(name, safe='')}")

    def answers(self) -> bool:
        """Whether the API can be used."""
        try:
            self._call("GET", "/api/vhosts")
        except (OSError, http.client.HTTPException, StackError):
            return False
        return True

    def _call(self, method: str, path: str, body: object = None) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_PATIENCE)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, self._headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise StackError(f"RabbitMQ's HTTP API answered {answer.status} to {method} {path}: {text}")
