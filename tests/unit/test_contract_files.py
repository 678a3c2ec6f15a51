"""What publishers are told is what the worker takes."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import yaml
from pydantic import ValidationError

from worker import __version__
from worker.core.message.request import SmsRequest
from worker.core.outgoing.contract import asyncapi, files, request_schema
from worker.core.topology import Topology

CONFIG = Path(__file__).parents[2] / "config"
TEXT = {"id": "a-1", "to": "+85251234567", "type": "OTP", "text": "Your code is 1234"}
TEMPLATE = {"id": "a-1", "to": "8613812345678", "type": "OTP", "from": "Shop", "template": {"code": "SMS_1"}}


@pytest.mark.parametrize("name", ["sms.request.v1.schema.json", "asyncapi.yaml"])
def test_the_checked_in_file_is_what_the_code_generates(name: str) -> None:
    assert files(Topology(), __version__)[name] == (CONFIG / name).read_bytes()


def test_the_yaml_says_what_the_document_says() -> None:
    assert asyncapi(Topology(), __version__) == yaml.safe_load((CONFIG / "asyncapi.yaml").read_text("utf-8"))


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi(Topology(), __version__)
    references = list(_references(document))

    assert references
    for reference in references:
        if reference.startswith("#/"):
            place: Any = document
            for part in reference[2:].split("/"):
                place = place[part]
        else:
            assert (CONFIG / reference).is_file()


def test_the_asyncapi_document_names_what_the_worker_declares() -> None:
    topology = Topology("shop")
    queues, exchanges = {queue.name for queue in topology.queues()}, {each.name for each in topology.exchanges()}
    channels = asyncapi(topology, "1")["channels"]
    dead = channels["dead"]

    assert channels["send"]["bindings"]["amqp"]["exchange"]["name"] in exchanges
    assert channels["done"]["address"] in queues
    assert {dead["address"].format(**{"class": name}) for name in dead["parameters"]["class"]["enum"]} == {
        queue for queue in queues if ".dead." in queue
    }


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True),
        ({"template": None, "metadata": {"order": "1"}, "deadline": "2026-11-23T12:00:00Z"}, True),
        (TEMPLATE | {"text": None}, True),
        (TEMPLATE | {"text": None, "template": {"code": "SMS_1", "params": {"code": "1" * 1500}}}, True),
        (TEMPLATE | {"text": None, "template": {"code": "SMS_1", "params": {"code": "1" * 1501}}}, False),
        (TEMPLATE | {"text": None, "template": {"code": "SMS_1", "params": {"k" * 65: "1"}}}, False),
        (TEMPLATE | {"text": None, "template": {"code": "SMS 1"}}, False),
        (TEMPLATE, False),
        ({"text": None}, False),
        ({"text": ""}, False),
        ({"text": "x" * 1501}, False),
        ({"to": "0123"}, False),
        ({"type": "otp"}, False),
        ({"id": "a b"}, False),
        ({"txet": "Hi"}, False),
        ({"metadata": {"order": 1}}, False),
        ({"metadata": {str(number): "" for number in range(17)}}, False),
    ],
)
def test_schema_and_worker_take_the_same_requests(change: dict[str, Any], fits: bool) -> None:
    request = TEXT | change
    schema_fits = jsonschema.Draft202012Validator(request_schema()).is_valid(request)
    try:
        SmsRequest.model_validate_json(orjson.dumps(request))
    except ValidationError:
        worker_fits = False
    else:
        worker_fits = True

    assert (fits, fits) == (schema_fits, worker_fits)


def test_the_schema_is_a_schema_and_describes_every_field() -> None:
    schema = request_schema()

    jsonschema.Draft202012Validator.check_schema(schema)
    assert all(field.get("description") for field in schema["properties"].values())


def _references(value: Any) -> Any:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
