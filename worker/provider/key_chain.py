"""The provider's default credential chain: where access keys are looked for when the configuration gives none.

The sources are the official package's own (``alibabacloud-credentials``), in the order of its default chain, and they
renew temporary keys themselves a quarter of an hour before they end. Its ready-made `DefaultCredentialsProvider` is not
used: each one starts a thread that nothing can stop, and a chain is opened anew whenever keys turn out to be wrong.
"""

import logging
from typing import Any, Final, NamedTuple

from worker.provider.signature import AccessKey

#: Loggers of the package that write what they get, secrets included, to standard error.
_TALKATIVE: Final = ("credentials", "alibabacloud-tea")


class FoundKey(NamedTuple):
    """A key and the name of its source."""

    key: AccessKey
    source: str


class NoKey(Exception):  # noqa: N818 - it names a state
    """No source gave a key; the text names each source and the class of its error, never the error's own text."""


class UnfitKey(NoKey):
    """A source gave a key that cannot be one."""


class KeyChain:
    """The sources, in order. Blocking: for use in a thread."""

    def __init__(self) -> None:
        """Open the chain."""
        self._sources = default_sources()

    def fetch(self) -> FoundKey:
        """The key of the first source that has one; from then on only that source is asked.

        Otherwise a source that fails for a moment would change the worker's identity to that of the next one.

        Raises:
            NoKey: no source has one.
        """
        failures = []
        for source in self._sources:
            try:
                found = _key_of(source)
            except Exception as error:  # noqa: BLE001 - what a source raises is not documented; it has no key then
                failures.append(f"{type(source).__name__}: {type(error).__name__}")
            else:
                self._sources = [source]
                return found
        raise NoKey("; ".join(failures))


def default_sources() -> list[Any]:
    """The package's sources, in the order of its default chain."""
    # Half a second of imports that a worker with configured keys need not pay.
    from alibabacloud_credentials import provider  # noqa: PLC0415
    from alibabacloud_credentials.utils import auth_util  # noqa: PLC0415

    for name in _TALKATIVE:
        logging.getLogger(name).disabled = True
    sources: list[Any] = [provider.EnvironmentVariableCredentialsProvider()]
    if auth_util.enable_oidc_credential:
        sources.append(provider.OIDCRoleArnCredentialsProvider())
    sources += [provider.CLIProfileCredentialsProvider(), provider.ProfileCredentialsProvider()]
    if auth_util.environment_ecs_metadata_disabled.lower() != "true":
        sources.append(provider.EcsRamRoleCredentialsProvider(async_update_enabled=False))
    if auth_util.environment_credentials_uri:
        sources.append(provider.URLCredentialsProvider())
    return sources


def _key_of(source: Any) -> FoundKey:
    credentials = source.get_credentials()
    key_id, secret = credentials.get_access_key_id(), credentials.get_access_key_secret()
    if not key_id or not secret:
        raise NoKey("an empty key")
    key = AccessKey(key_id, secret, credentials.get_security_token() or None)
    if not key.is_fit:
        raise UnfitKey("a key with spaces, line breaks or other characters that no header may hold")
    return FoundKey(key, credentials.get_provider_name())
