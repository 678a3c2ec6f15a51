"""The sandbox's own check of an authorization: what the official SDK signed passes, anything that differs does not."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from worker.sandbox.arrival import Arrival
from worker.sandbox.signature import TOLERANCE_S, Nonces, Verifier, canonical_request

CAPTURES = json.loads((Path(__file__).parents[1] / "data" / "acs3_vectors.json").read_text("utf-8"))
FIRST: dict[str, Any] = CAPTURES["vectors"][0]
SIGNED_AT = datetime.fromisoformat(FIRST["headers"]["x-acs-date"]).timestamp()


def arrival_of(capture: Mapping[str, Any], body: bytes = b"", **changed: str | None) -> Arrival:
    headers = capture["headers"] | {"authorization": capture["authorization"]}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    present = {name: value for name, value in headers.items() if value is not None}
    return Arrival.of("POST", f"/?{capture['wire_query']}", present, body)


def verifier(access_key_id: str = CAPTURES["access_key_id"], secret: str = CAPTURES["access_key_secret"]) -> Verifier:
    return Verifier(access_key_id, secret)


@pytest.mark.parametrize("capture", CAPTURES["vectors"], ids=lambda capture: capture["operation"])
def test_what_the_official_sdk_sent_is_accepted(capture: dict[str, Any]) -> None:
    assert verifier().refusal(arrival_of(capture), SIGNED_AT) is None


def test_the_canonical_request_has_the_hash_that_was_captured() -> None:
    names = FIRST["authorization"].partition("SignedHeaders=")[2].partition(",")[0]

    text = canonical_request(arrival_of(FIRST), names)

    assert FIRST["canonical_request_sha256"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("IncompleteSignature", {"authorization": None}),
        ("IncompleteSignature", {"authorization": FIRST["authorization"].replace(",Sig", ", Sig")}),
        ("IncompleteSignature", {"authorization": FIRST["authorization"].replace("host;", "")}),
        ("InvalidSignatureMethod", {"authorization": FIRST["authorization"].replace("SHA256", "SM3")}),
        ("MissingTimestamp", {"authorization": None, "x_acs_date": None}),
        ("MissingSignatureNonce", {"authorization": None, "x_acs_signature_nonce": None}),
        ("MissingSignatureNonce", {"x_acs_signature_nonce": None}),
        ("InvalidTimeStamp.Format", {"x_acs_date": "2026-11-23 09:19:31"}),
        ("InvalidTimeStamp.Format", {"x_acs_date": "2026-13-23T09:19:31Z"}),
        ("InvalidAccessKeyId.NotFound", {"authorization": FIRST["authorization"].replace("LTAI5t", "OTHER")}),
        ("SignatureDoesNotMatch", {"x_acs_action": "BatchSendMessageToGlobe"}),
        ("SignatureDoesNotMatch", {"host": "elsewhere"}),
        ("SignatureDoesNotMatch", {"accept": "text/html"}),
        ("SignatureDoesNotMatch", {"user_agent": "bytes \udcff of any kind"}),
    ],
)
def test_an_authorization_that_is_not_right_is_refused(code: str, changed: dict[str, str | None]) -> None:
    assert code == verifier().refusal(arrival_of(FIRST, b"", **changed), SIGNED_AT)


def test_a_wrong_secret_another_query_and_another_body_are_refused() -> None:
    other_query = FIRST | {"wire_query": FIRST["wire_query"].replace("1234", "1235")}

    for wrong in (
        verifier(secret="another").refusal(arrival_of(FIRST), SIGNED_AT),
        verifier().refusal(arrival_of(other_query), SIGNED_AT),
        verifier().refusal(arrival_of(FIRST, body=b"To=852"), SIGNED_AT),
    ):
        assert wrong == "SignatureDoesNotMatch"


@pytest.mark.parametrize("side", [-1, 1])
def test_a_request_is_good_for_a_quarter_of_an_hour_to_either_side(side: int) -> None:
    arrival = arrival_of(FIRST)

    assert verifier().refusal(arrival, SIGNED_AT + side * TOLERANCE_S) is None
    assert verifier().refusal(arrival, SIGNED_AT + side * (TOLERANCE_S + 1)) == "InvalidTimeStamp.Expired"


def test_a_replay_is_refused_and_a_failed_call_takes_no_nonce() -> None:
    judge = verifier()
    forged = arrival_of(FIRST, host="elsewhere")

    verdicts = [judge.refusal(each, SIGNED_AT) for each in (forged, arrival_of(FIRST), arrival_of(FIRST))]

    assert verdicts == ["SignatureDoesNotMatch", None, "SignatureNonceUsed"]


def test_a_nonce_is_remembered_as_long_as_its_request_is_good_and_then_forgotten() -> None:
    nonces = Nonces()
    nonces.take("first", 6000.0, 6000.0)
    last = 6000.0 + TOLERANCE_S

    assert not nonces.take("first", last, last)
    assert nonces.take("second", last, last)
    assert not nonces.take("first", last, last)

    assert nonces.take("third", last + 120, last + 120)
    assert nonces.take("first", last + 120, last + 120)
