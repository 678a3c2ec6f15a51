"""The contract with publishers, generated from the code: a JSON Schema of a request and an AsyncAPI 3.0 document.

Both are checked in under ``config/``; a test asserts that they are current.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from worker.core.message.lane import Lane
from worker.core.message.request import MESSAGE_TYPE, SmsRequest
from worker.core.outcome.outcome import DEAD_CLASSES, ErrorClass
from worker.core.outgoing.envelope import OUTCOME_TYPE
from worker.core.topology import Topology

#: Beside the AsyncAPI document, which refers to it.
_SCHEMA_FILE: Final = f"{MESSAGE_TYPE}.schema.json"
_DESCRIPTIONS: Final = {
    "id": "The publisher's own name of the request, in its outcome too. Workers remember it for 72 hours: what is "
    "published twice within that time is sent once.",
    "to": "The recipient, E.164: country code and national number; a leading + may be given.",
    "type": "Must match the lane, which is the routing key: OTP otp, NOTIFY notify, MKT marketing.",
    "text": "The message, of which something can be seen. Exactly one of text and template. Not to mainland China "
    "(86), which needs a template.",
    "template": "An approved template, to mainland China (86) only; `from` is then its signature and required. The "
    "values of its parameters have at most 1,500 characters together.",
    "from": "The sender: up to 11 letters and digits, or up to 15 digits; with a template, its signature.",
    "task_id": "Comes back in the provider's receipt; the request id when not given.",
    "not_before": "Not sent before this instant, at most 31 days ahead.",
    "deadline": "Not sent after this instant; when not given, the lane's lifetime counted from publication.",
    "metadata": "Returned in the outcome. An operator can cancel all requests of one `campaign`.",
}


def request_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a request's body.

    It refuses nothing that a worker takes. Rules that a schema cannot say are in the descriptions; a worker checks
    them too.
    """
    schema = SmsRequest.model_json_schema(by_alias=True)
    for name, description in _DESCRIPTIONS.items():
        schema["properties"][name]["description"] = description
    text = {"required": ["text"], "properties": {"text": {"type": "string"}}}
    template = {
        "required": ["template", "from"],
        "properties": {"template": {"type": "object"}, "from": {"type": "string"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": MESSAGE_TYPE,
        "description": "One SMS to one number. Unknown fields are refused: a typo must not change meaning silently.",
        "oneOf": [text, template],
    }


def asyncapi(topology: Topology, version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of what the worker takes and tells; *version* is the program's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sms-worker",
            "version": version,
            "description": "Takes requests to send an SMS and tells what became of them.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"send": _send(topology), "done": _done(topology), "dead": _dead(topology)},
        "operations": {
            "takeRequest": _operation("receive", "send", "Take a request."),
            "tellOutcome": _operation("send", "done", "Tell that a request was accepted, or cancelled."),
            "buryRequest": _operation("send", "dead", "Put away a request that cannot be sent."),
        },
        "components": {"messages": _messages()},
    }


def files(topology: Topology, version: str) -> dict[str, bytes]:
    """The checked-in files of ``config/``: name and content."""
    return {
        _SCHEMA_FILE: orjson.dumps(request_schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
        "asyncapi.yaml": to_yaml(asyncapi(topology, version)).encode(),
    }


def to_yaml(value: Any, indent: int = 0) -> str:
    """Write *value* as YAML in block style; scalars are JSON, which YAML includes.

    >>> print(to_yaml({"a": {"b": [1, "x"]}, "c": {}}), end="")
    a:
      b:
        - 1
        - "x"
    c: {}
    """
    margin = "  " * indent
    if isinstance(value, Mapping):
        entries = ((f"{margin}{key}:", each) for key, each in value.items())
    else:
        entries = ((f"{margin}-", each) for each in value)
    return "".join(
        f"{head}\n{to_yaml(each, indent + 1)}"
        if each and isinstance(each, dict | list)
        else f"{head} {_scalar(each)}\n"
        for head, each in entries
    )


def _scalar(value: Any) -> str:
    return orjson.dumps(value).decode()


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _send(topology: Topology) -> dict[str, Any]:
    exchange = topology.to_lane(Lane.OTP).exchange
    return {
        "address": "{lane}",
        "title": f"Exchange {exchange}",
        "description": "Publish persistent and mandatory, with publisher confirms. The routing key is the lane.",
        "messages": {"request": {"$ref": "#/components/messages/request"}},
        "parameters": {
            "lane": {"description": "The lane of the request's type.", "enum": [lane.value for lane in Lane]}
        },
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "direct", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _done(topology: Topology) -> dict[str, Any]:
    return {
        "address": topology.done_queue,
        "title": "Outcomes",
        "description": "One event for each request that was accepted, or cancelled before a call; kept for a while, so "
        "that publishers may read it.",
        "messages": {"outcome": {"$ref": "#/components/messages/outcome"}},
        "bindings": {"amqp": _queue(topology.done_queue)},
    }


def _dead(topology: Topology) -> dict[str, Any]:
    prefix = topology.dead_queue(DEAD_CLASSES[0]).removesuffix(DEAD_CLASSES[0].value)
    classes = [error_class.value for error_class in DEAD_CLASSES]
    return {
        "address": f"{prefix}{{class}}",
        "title": "Dead letters",
        "description": "One queue for each class. The request, untouched; its headers tell why it died.",
        "messages": {"deadLetter": {"$ref": "#/components/messages/deadLetter"}},
        "parameters": {"class": {"description": "Why the request died.", "enum": classes}},
        "bindings": {"amqp": _queue(f"{prefix}{{class}}")},
    }


def _queue(name: str) -> dict[str, Any]:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
    return {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}


def _messages() -> dict[str, Any]:
    request = {"$ref": f"./{_SCHEMA_FILE}"}
    return {
        "request": {"name": MESSAGE_TYPE, "title": "A request", "payload": request, **_amqp_type(MESSAGE_TYPE)},
        "outcome": {"name": OUTCOME_TYPE, "title": "An outcome", "payload": _OUTCOME, **_amqp_type(OUTCOME_TYPE)},
        "deadLetter": {
            "name": MESSAGE_TYPE,
            "title": "A dead letter",
            "headers": {"type": "object", "properties": {name: {"type": "string"} for name in _DEATH_HEADERS}},
            "payload": request,
            **_amqp_type(MESSAGE_TYPE),
        },
    }


def _amqp_type(message_type: str) -> dict[str, Any]:
    """AMQP properties that count: `contentType`, and `messageType`, which is AMQP's ``type``."""
    return {
        "contentType": "application/json",
        "bindings": {"amqp": {"messageType": message_type, "bindingVersion": "0.3.0"}},
    }


_DEATH_HEADERS: Final = ("x-sms-class", "x-sms-code", "x-sms-reason", "x-sms-remedy", "x-sms-lane", "x-sms-died")
_INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}
_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": ["integer", "null"], "minimum": 0}
_OUTCOME: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The request's id."},
        "outcome": {
            "enum": [ErrorClass.ACCEPTED.value, ErrorClass.CANCELLED.value],
            "description": "Cancelled: by an operator, before a call; what the provider tells is then null.",
        },
        "lane": {"enum": [lane.value for lane in Lane]},
        "to": {"type": "string", "description": "The recipient, masked unless the worker is told to show it."},
        "message_id": _TEXT | {"description": "The provider's id of the message."},
        "provider_request_id": _TEXT,
        "segments": _COUNT
        | {"description": "Billed segments; of a batch call, which does not tell them, as this program counts them."},
        "country": _TEXT,
        "attempts": _COUNT | {"description": "Calls to the provider."},
        "unknowns": _COUNT | {"description": "Calls of which nobody knows whether they were accepted too."},
        "published": _INSTANT,
        "first_tried": _INSTANT,
        "settled": _INSTANT,
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
