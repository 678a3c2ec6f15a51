"""What one call asks of the provider: the parameters of its operations, and how many bytes those of a batch are."""

from collections.abc import Sequence
from string import ascii_letters, digits
from typing import Final

import orjson

from worker.core.message.decode import Request
from worker.core.message.request import SmsRequest
from worker.provider.signature import canonical_query

#: Characters of the task id of a call with several messages, when it is of our own making: a UUID fits.
_TASK_ID: Final = 36
#: What is sent as it is.
_UNRESERVED: Final = f"{ascii_letters}{digits}-._~".encode()
#: ``%22%22%2C``, around and after a number.
_AROUND: Final = 9
#: ``%2C``, after a text.
_AFTER: Final = 3


def parameters_of(request: Request, validity_s: int, channel_id: str | None) -> dict[str, str]:
    """The parameters that send *request*, valid for *validity_s* seconds, through *channel_id* if there is one.

    SendMessageWithTemplate knows neither ``Type`` nor ``TaskId`` (the provider's API reference, 2018-05-01), so a
    receipt of a template can be told by its message id only.
    """
    sms = request.sms
    parameters = {"To": sms.number, "ValidityPeriod": str(validity_s)}
    if sms.sender is not None:
        parameters["From"] = sms.sender
    if channel_id:
        parameters["ChannelId"] = channel_id
    if sms.template is None:
        parameters["Message"] = sms.text or ""
        parameters["Type"] = sms.type.value
        parameters["TaskId"] = sms.task_id or sms.id
    else:
        parameters["TemplateCode"] = sms.template.code
        if sms.template.params:
            parameters["TemplateParam"] = orjson.dumps(sms.template.params).decode()
    return parameters


def batch_parameters(
    requests: Sequence[Request], validity_s: int, channel_id: str | None, task_id: str
) -> dict[str, str]:
    """The parameters that send all of *requests* in one call: free texts of one type and sender, a number only once.

    Raises:
        ValueError: they cannot go together.
    """
    members = [request.sms for request in requests]
    if len({(sms.type, sms.sender, sms.template is None) for sms in members}) != 1 or members[0].template is not None:
        raise ValueError("the requests of one call must be texts of one type and one sender")
    if len({sms.number for sms in members}) != len(members):
        raise ValueError("a number stands in one call only once: its reply could not be told apart")
    first = members[0]
    numbers, texts = [sms.number for sms in members], [sms.text for sms in members]
    return _batch(_json(numbers), _json(texts), first.type.value, first.sender, validity_s, channel_id, task_id)


def member_size(sms: SmsRequest) -> int:
    """Bytes that *sms* adds to the parameters of a call with several messages, as they are sent: encoded."""
    text = orjson.dumps(sms.text)
    return len(text) + 2 * len(text.translate(None, _UNRESERVED)) + len(sms.number) + _AROUND + _AFTER


def base_size(channel_id: str | None) -> int:
    """Bytes of the parameters of a call with no messages, as they are sent: at most, with a task id of ours."""
    longest = _batch("[]", "[]", "NOTIFY", "0" * 15, 10**6 - 1, channel_id, "0" * _TASK_ID)
    return len(canonical_query(longest))


def _batch(
    numbers: str, texts: str, sms_type: str, sender: str | None, validity_s: int, channel_id: str | None, task_id: str
) -> dict[str, str]:
    parameters = {
        "To": numbers,
        "Message": texts,
        "Type": sms_type,
        "ValidityPeriod": str(validity_s),
        "TaskId": task_id,
    }
    if sender is not None:
        parameters["From"] = sender
    if channel_id:
        parameters["ChannelId"] = channel_id
    return parameters


def _json(texts: Sequence[str | None]) -> str:
    return orjson.dumps(texts).decode()
