"""Addresses of neighbours, read more strictly than any library reads them, so that all of them read the same.

A password with a character that means something in a URL is otherwise taken for a host, a port or an option, shown as
such, and asked for in vain. So what does not fit is refused, and no part of it is quoted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote


class OptionKind(Enum):
    """What the value of an option may be: a pattern, and how it is said."""

    PATH = (r"[^\x00-\x1f]+", "a path")
    BIT = (r"[01]", "0 or 1")
    SWITCH = (r"true|false", "true or false")
    NUMBER = (r"[0-9]{1,9}", "a number")
    CHECK = (r"required|optional|none", "required, optional or none")


@dataclass(frozen=True, slots=True)
class Form:
    """What addresses of one field look like."""

    schemes: tuple[str, ...]
    example: str
    options: Mapping[str, OptionKind] = field(default_factory=dict)
    #: Of the path, without its first slash.
    path: str = ""
    #: Options that there are, elsewhere; or not at all: why.
    instead: Mapping[str, str] = field(default_factory=dict)
    #: Scheme that the options about TLS belong to, and how their names begin.
    tls: str = ""
    user: str = "optional"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. Only host and port may be shown."""

    scheme: str
    host: str
    port: int | None
    path: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Whether it leads to this machine only."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


BROKER: Final = Form(
    ("amqp", "amqps"),
    "amqp://user:password@host:5672/vhost",
    {
        "cafile": OptionKind.PATH,
        "capath": OptionKind.PATH,
        "certfile": OptionKind.PATH,
        "keyfile": OptionKind.PATH,
        "no_verify_ssl": OptionKind.BIT,
    },
    path=r"[^?#@\s]*",
    instead={
        "heartbeat": "broker.heartbeat",
        "timeout": "broker.connect_timeout",
        "connection_timeout": "broker.connect_timeout",
    },
    tls="amqps",
)
REDIS: Final = Form(
    ("redis", "rediss", "unix"),
    "redis://user:password@host:6379/0",
    {
        "db": OptionKind.NUMBER,
        "ssl_ca_certs": OptionKind.PATH,
        "ssl_ca_path": OptionKind.PATH,
        "ssl_certfile": OptionKind.PATH,
        "ssl_keyfile": OptionKind.PATH,
        "ssl_cert_reqs": OptionKind.CHECK,
        "ssl_check_hostname": OptionKind.SWITCH,
    },
    path=r"[0-9]{0,9}",
    instead={
        "timeout": "redis.timeout",
        "socket_timeout": "redis.timeout",
        "socket_connect_timeout": "redis.connect_timeout",
        "username": "user:password@ before the host",
        "password": "user:password@ before the host",
    },
    tls="rediss",
)
ENDPOINT: Final = Form(("https", "http"), "https://host", user="none")
DSN: Final = Form(("https", "http"), "https://key@host/4711", path=r"(?:[\w.~-]+/)*[0-9]+", user="needed")

#: A part of user or password: nothing that means something in a URL, but %-encoded.
_PLAIN: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_URL: Final = re.compile(
    rf"(?P<scheme>[a-z]+)://(?:(?P<user>{_PLAIN}*)(?::(?P<password>(?:{_PLAIN}|:)*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<path>[^?#@\s\x00-\x1f\x7f-\U0010ffff]*))?(?:\?(?P<query>[^#@\s\x00-\x1f]*))?"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
#: A name of an option that may be quoted.
_NAME: Final = re.compile(r"[a-z_]{1,40}")
_LARGEST_PORT: Final = 65_535


def parse(url: str, form: Form) -> Address:
    """Read *url* as an address of *form*.

    Raises:
        ValueError: it is none; the sentence quotes nothing but names of options.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in form.schemes or not rest:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in form.schemes)}")
    found = _URL.fullmatch(url)
    if found is None or not _is_placed(found, form):
        raise ValueError(f"must look like {form.example}, with one host{_hint(form)}")
    options = _options(found["query"] or "", scheme, form)
    path = found["path"] or ""
    try:
        user, password = (unquote(found[part] or "", errors="strict") for part in ("user", "password"))
    except UnicodeDecodeError:
        raise ValueError("has a user or password that is not %-encoded UTF-8") from None
    if scheme != "unix" and "db" in options and path:
        raise ValueError("names the database twice: give /0 or ?db=0")
    return Address(
        scheme,
        found["host"].strip("[]"),
        int(found["port"]) if found["port"] else None,
        unquote(path),
        user,
        password,
        options,
    )


def _hint(form: Form) -> str:
    if form.user == "none":
        return ", and neither user nor path"
    if form.user == "needed":
        return ", a key before it and the number of a project at its end"
    return "; in user and password, every character but letters, digits and -._~ is %-encoded"


def _is_placed(found: "re.Match[str]", form: Form) -> bool:
    host, port, path = found["host"], found["port"], found["path"] or ""
    if found["scheme"] == "unix":
        return not host and not port and bool(path)
    if not _is_host(host) or (port and not 0 < int(port) <= _LARGEST_PORT):
        return False
    if (form.user == "none" and found["user"] is not None) or (form.user == "needed" and not found["user"]):
        return False
    return re.fullmatch(form.path, path) is not None


def _is_host(host: str) -> bool:
    labels = host.strip("[]").split(".")
    if not host.startswith("[") and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdecimal():
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return host.startswith("[") == (":" in host)


def _options(query: str, scheme: str, form: Form) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, text = pair.partition("=")
        value = unquote(text)
        kind = form.options.get(name)
        if kind is None:
            raise ValueError(_unknown(name, form))
        pattern, words = kind.value
        if not equals or re.fullmatch(pattern, value) is None or "+" in text:
            raise ValueError(f"has the option {name}, which must be {words}")
        if name in found:
            raise ValueError(f"has the option {name} twice")
        if name != "db" and scheme != form.tls:
            raise ValueError(f"has the option {name}, which is for {form.tls}:// only")
        found[name] = value
    for key, certificate in (("keyfile", "certfile"), ("ssl_keyfile", "ssl_certfile")):
        if key in found and certificate not in found:
            raise ValueError(f"has the option {key} without {certificate}")
    return found


def _unknown(name: str, form: Form) -> str:
    if not form.options:
        return "must have no options"
    if instead := form.instead.get(name):
        return f"has the option {name}; use {instead} instead"
    quoted = f"the option {name}" if _NAME.fullmatch(name) else "an option"
    return f"has {quoted}, which is none of {', '.join(form.options)}"


def unverified(address: Address) -> list[str]:
    """The options of *address* by which the other end is not verified: anybody could be there."""
    weak = {
        "no_verify_ssl": ("1",),
        "ssl_cert_reqs": ("none",),  # optional is required, towards a server
        "ssl_check_hostname": ("false",),
    }
    return [f"{name}={value}" for name, value in address.options.items() if value in weak.get(name, ())]


#: What is said when a server that asks for a certificate got none; often its reason is lost with the connection.
_WITHOUT_CERTIFICATE: Final = re.compile(r"certificate required|reset|closed", re.IGNORECASE)


def advice(url: str, form: Form, said: str) -> str:
    """What to add to what was *said* of a connection that broke in its handshake; often nothing."""
    certificate, key = ("certfile", "keyfile") if form is BROKER else ("ssl_certfile", "ssl_keyfile")
    address = parse(url, form)
    if address.scheme != form.tls or certificate in address.options or not _WITHOUT_CERTIFICATE.search(said):
        return ""
    return f"; does it ask for a certificate of your own? Then its address needs {certificate} and {key}"
