"""The chain is the official package's own, without its threads and its talk."""

import logging
import subprocess
import sys
import threading
from typing import Any
from unittest.mock import Mock

import pytest
from alibabacloud_credentials import provider
from alibabacloud_credentials.provider.refreshable import Credentials
from alibabacloud_credentials.utils import auth_util

from worker.provider import key_chain
from worker.provider.key_chain import FoundKey, KeyChain, NoKey, default_sources
from worker.provider.signature import AccessKey


class Source:
    """A source of the package that answers or fails as it is told."""

    def __init__(self, answer: Credentials | Exception) -> None:
        self.answer = answer
        self.asked = 0

    def get_credentials(self) -> Credentials:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def found(key_id: str, secret: str = "secret") -> Source:
    return Source(Credentials(access_key_id=key_id, access_key_secret=secret, security_token="", provider_name="env"))


def chain_of(monkeypatch: pytest.MonkeyPatch, *sources: Source) -> KeyChain:
    monkeypatch.setattr(key_chain, "default_sources", lambda: list(sources))
    return KeyChain()


@pytest.fixture
def _every_source_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("environment_oidc_token_file", "environment_role_arn", "environment_oidc_provider_arn"):
        monkeypatch.setattr(auth_util, name, "x")
    monkeypatch.setattr(auth_util, "enable_oidc_credential", True)
    monkeypatch.setattr(auth_util, "environment_credentials_uri", "http://127.0.0.1:9/")
    # The package's own chain, which is only compared with, would start its thread.
    monkeypatch.setattr("alibabacloud_credentials.provider.ecs_ram_role.BackgroundScheduler", Mock)


@pytest.mark.usefixtures("_every_source_is_asked_for")
def test_the_sources_are_those_of_the_packages_default_chain_in_its_order() -> None:
    theirs: list[Any] = vars(provider.DefaultCredentialsProvider())["_DefaultCredentialsProvider__providers_chain"]

    assert [type(source) for source in default_sources()] == [type(source) for source in theirs]


def test_opening_the_chain_starts_no_thread_and_silences_the_package() -> None:
    before = threading.active_count()

    default_sources()

    assert threading.active_count() == before
    assert all(logging.getLogger(name).disabled for name in ("credentials", "alibabacloud-tea"))


def test_the_first_source_with_a_key_is_used_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    failing, empty, good, other = Source(OSError("x")), found(""), found("LTAI"), found("OTHER")
    chain = chain_of(monkeypatch, failing, empty, good, other)

    assert chain.fetch() == FoundKey(AccessKey("LTAI", "secret"), "env")

    good.answer = OSError("for a moment")
    with pytest.raises(NoKey):
        chain.fetch()
    assert (failing.asked, empty.asked, good.asked, other.asked) == (1, 1, 2, 0)


def test_the_packages_own_sources_give_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("access_key_id", "LTAI"), ("access_key_secret", "secret"), ("security_token", "token")):
        monkeypatch.setattr(auth_util, f"environment_{name}", value)

    assert KeyChain().fetch() == FoundKey(AccessKey("LTAI", "secret", "token"), "env")


def test_a_failure_names_the_sources_and_none_of_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = chain_of(monkeypatch, Source(ValueError("response: AccessKeySecret=hunter2")), found("LTAI", ""))

    with pytest.raises(NoKey) as raised:
        chain.fetch()

    assert str(raised.value) == "Source: ValueError; Source: NoKey"


@pytest.mark.parametrize("unfit", ["LTAI\n", "LT AI", "LTAI\0", "键"])
def test_a_key_that_no_header_may_hold_is_none(monkeypatch: pytest.MonkeyPatch, unfit: str) -> None:
    chain = chain_of(monkeypatch, found(unfit), found("LTAI", secret=unfit))

    with pytest.raises(NoKey, match=r"^Source: UnfitKey; Source: UnfitKey$"):
        chain.fetch()


def test_the_package_is_not_imported_before_it_is_needed() -> None:
    program = "import sys, worker.provider.client; sys.exit('alibabacloud_credentials' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
