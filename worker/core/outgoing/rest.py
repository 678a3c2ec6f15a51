"""The last form of a message that RabbitMQ will not take back in any other: certain to be publishable."""

import re
from datetime import datetime
from typing import Final

from worker.core.instant import to_the_millisecond
from worker.core.message.decode import RawMessage
from worker.core.message.history import History
from worker.core.message.request import MESSAGE_TYPE
from worker.core.outcome.catalog import Catalog
from worker.core.outgoing.envelope import Outgoing
from worker.core.topology import Topology

#: What a request id is made of; anything else stays behind.
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_JSON: Final = "application/json"


def at_rest(raw: RawMessage, refused: Outgoing, catalog: Catalog, topology: Topology, now: datetime) -> Outgoing:
    """The poison letter of *raw*, of which *refused* could not be published.

    It has the body, the request id and headers of ours. Nothing of the publisher's headers or properties comes with
    it, for one of them is at fault, but for a type that is ours and a content type that says what the body is.
    """
    row = catalog.local("local.unpublishable")
    request_id = refused.correlation_id
    return Outgoing(
        route=topology.to_dead(row.error_class),
        body=raw.body,
        headers={
            **History.from_headers(refused.headers)[0].to_headers(),
            "x-sms-class": row.error_class.value,
            "x-sms-code": row.code,
            "x-sms-reason": f"{row.description} It was on its way to exchange {refused.route.exchange}.",
            "x-sms-remedy": row.remedy,
            "x-sms-lane": raw.lane.value,
            "x-sms-died": to_the_millisecond(now),
        },
        type=MESSAGE_TYPE if raw.type == MESSAGE_TYPE else None,
        content_type=_JSON if raw.content_type == _JSON else None,
        correlation_id=request_id if request_id and _ID.fullmatch(request_id) else None,
    )
