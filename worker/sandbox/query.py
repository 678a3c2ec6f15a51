"""The reply of QueryMessage: in the sandbox every accepted message is delivered a second later."""

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from worker.core.limits.calendar import SINGAPORE
from worker.sandbox.account import BookEntry
from worker.sandbox.answer import number_detail


def report(entry: BookEntry, request_id: str) -> dict[str, Any]:
    """What is known of an accepted message; its text is empty, because the sandbox keeps none."""
    sent = datetime.fromtimestamp(entry.arrived, SINGAPORE).replace(microsecond=0)
    return {
        "Status": "1",
        "ErrorDescription": "success",
        "ResponseCode": "OK",
        "ReceiveDate": format_datetime(sent + timedelta(seconds=1)),
        "NumberDetail": number_detail(entry.number),
        "Message": "",
        "ResponseDescription": "The SMS Send Request was accepted",
        "ErrorCode": "DELIVERED",
        "SendDate": format_datetime(sent),
        "To": entry.number,
        "MessageId": entry.message_id,
        "RequestId": request_id,
    }
