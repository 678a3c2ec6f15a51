"""The files that an address names, checked by building of them what a connection will use."""

import ssl
from pathlib import Path
from typing import Final

from worker.settings.address import Address

#: Options that name files, in the words of RabbitMQ's library and of Redis'.
_AUTHORITIES: Final = ("cafile", "ssl_ca_certs")
_FOLDERS: Final = ("capath", "ssl_ca_path")
_CERTIFICATES: Final = ("certfile", "ssl_certfile")
_KEYS: Final = ("keyfile", "ssl_keyfile")


def faults_of_files(address: Address) -> list[str]:
    """What is wrong with the files of *address*, a sentence each, with option and path."""
    if not address.options:
        return []
    named = {name: value for name, value in address.options.items() if name in (*_AUTHORITIES, *_CERTIFICATES, *_KEYS)}
    faults = [fault for name, path in named.items() if (fault := _unreadable(name, path))]
    faults += [
        f"{name} {path}: is no directory"
        for name, path in address.options.items()
        if name in _FOLDERS and not Path(path).is_dir()
    ]
    return faults or _unfit(address)


def _unreadable(name: str, path: str) -> str | None:
    try:
        with Path(path).open("rb"):
            return None
    except OSError as error:
        return f"{name} {path}: {error.strerror or type(error).__name__}"


def _unfit(address: Address) -> list[str]:
    options, faults = address.options, []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in _AUTHORITIES:
        if path := options.get(name):
            try:
                context.load_verify_locations(path)
            except OSError:  # an SSLError is one
                faults.append(f"{name} {path}: holds no certificate of an authority, as PEM")
    for name, key in zip(_CERTIFICATES, _KEYS, strict=True):
        if path := options.get(name):
            try:
                context.load_cert_chain(path, options.get(key), password=_no_password)
            except (OSError, ValueError):
                pair = f" with {key} {options[key]}" if key in options else ""
                faults.append(f"{name} {path}{pair}: is no certificate with its key, as PEM without a password")
    return faults


def _no_password() -> str:
    """OpenSSL would ask the terminal for it."""
    raise ValueError
