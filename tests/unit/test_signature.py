"""The signature equals, byte for byte, what the official SDK put on the wire."""

import hashlib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from worker.provider.signature import (
    EMPTY_BODY_HASH,
    AccessKey,
    authorization,
    canonical_query,
    canonical_request,
    signed,
)

CAPTURES = json.loads((Path(__file__).parents[1] / "data" / "acs3_vectors.json").read_text("utf-8"))
KEY = AccessKey(CAPTURES["access_key_id"], CAPTURES["access_key_secret"])
INSTANT = datetime(2026, 11, 23, 17, 19, 31, 987_654, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize("capture", CAPTURES["vectors"], ids=lambda capture: capture["operation"])
def test_the_authorization_is_the_one_that_the_official_sdk_sent(capture: dict[str, Any]) -> None:
    query = canonical_query(dict(parse_qsl(capture["wire_query"])))

    assert capture["authorization"] == authorization("POST", query, capture["headers"], EMPTY_BODY_HASH, KEY)


def test_the_canonical_request_has_the_hash_that_was_captured() -> None:
    capture = CAPTURES["vectors"][0]

    query = canonical_query(dict(parse_qsl(capture["wire_query"])))
    request, _ = canonical_request("POST", query, capture["headers"], EMPTY_BODY_HASH)

    assert capture["canonical_query"] == query
    assert capture["canonical_request_sha256"] == hashlib.sha256(request.encode()).hexdigest()


def test_a_call_carries_what_it_was_signed_with() -> None:
    call = signed("SendMessageToGlobe", {"To": "852"}, host="sms.example", key=KEY, instant=INSTANT, nonce="n-1")

    assert call.query == "To=852"
    assert call.headers == {
        "host": "sms.example",
        "x-acs-action": "SendMessageToGlobe",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-acs-date": "2026-11-23T09:19:31Z",
        "x-acs-signature-nonce": "n-1",
        "x-acs-version": "2018-05-01",
        "Authorization": call.headers["Authorization"],
    }
    names = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    assert call.headers["Authorization"].startswith(
        f"ACS3-HMAC-SHA256 Credential={KEY.id},SignedHeaders={names},Signature="
    )


def test_the_token_of_a_temporary_key_is_sent_and_signed() -> None:
    key = AccessKey(KEY.id, KEY.secret, "token-1")

    call = signed("SendMessageToGlobe", {"To": "852"}, host="sms.example", key=key, instant=INSTANT, nonce="n-1")

    assert call.headers["x-acs-security-token"] == "token-1"
    assert call.headers["x-acs-accesskey-id"] == KEY.id
    assert ";x-acs-security-token;" in call.headers["Authorization"]


@pytest.mark.parametrize(
    ("value", "encoded"),
    [("a b", "a%20b"), ("~-._", "~-._"), ("*+/&=", "%2A%2B%2F%26%3D"), ("²", "%C2%B2"), ("你", "%E4%BD%A0"), ("", "")],
)
def test_values_are_encoded_as_rfc_3986_says(value: str, encoded: str) -> None:
    assert canonical_query({"N": value}) == f"N={encoded}"


def test_the_body_of_a_form_is_signed_with_its_type() -> None:
    call = signed(
        "BatchSendMessageToGlobe", {}, host="sms.example", key=KEY, instant=INSTANT, nonce="n-1", form=b"To=852"
    )

    signed_names = call.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert call.query == ""
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert call.headers["x-acs-content-sha256"] == hashlib.sha256(b"To=852").hexdigest()
    assert signed_names.split(";") == sorted(set(call.headers) - {"Authorization"})


def test_no_secret_shows_in_a_repr() -> None:
    assert repr(AccessKey("LTAI", "secret-1", "token-1")) == "AccessKey(id='LTAI')"
