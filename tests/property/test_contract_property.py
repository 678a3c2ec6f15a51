"""The JSON Schema refuses nothing that a worker takes."""

from typing import Any

import jsonschema
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.makers import MAINLAND, NUMBER, make_fields
from worker.core.message.request import SmsRequest
from worker.core.outgoing.contract import request_schema

SCHEMA = jsonschema.Draft202012Validator(request_schema())
TEXTS = st.text(st.characters(codec="utf-8"), max_size=70) | st.sampled_from(["", "\u200b", "x" * 1_500, "x" * 1_501])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS | st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True),
        "to": TEXTS | st.from_regex(r"\+?[0-9]{5,17}", fullmatch=True),
        "text": TEXTS | st.none(),
        "from": TEXTS | st.none() | st.just("Shop"),
        "task_id": TEXTS | st.none(),
        "metadata": st.dictionaries(TEXTS, TEXTS, max_size=18),
        "deadline": TEXTS | st.none() | st.datetimes().map(lambda instant: f"{instant.isoformat()}Z"),
    },
)
TEMPLATES = st.fixed_dictionaries(
    {"code": st.sampled_from(["SMS_1", "", "a b", "x" * 64, "x" * 65])},
    optional={"params": st.dictionaries(TEXTS, TEXTS, max_size=66)},
)


@settings(deadline=None)
@given(changes=CHANGES, template=st.none() | TEMPLATES)
def test_what_a_worker_takes_fits_the_schema(changes: dict[str, Any], template: dict[str, Any] | None) -> None:
    kind = {"to": f"+{NUMBER}"} if template is None else {"to": MAINLAND, "from": "Shop", "text": None}
    fields = make_fields() | kind | {"template": template} | changes
    try:
        SmsRequest.model_validate_json(orjson.dumps(fields))
    except ValidationError:
        return

    assert SCHEMA.is_valid(fields), list(SCHEMA.iter_errors(fields))
