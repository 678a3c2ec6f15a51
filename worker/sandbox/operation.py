"""The operations of the API that the sandbox knows, and the parameters that each needs."""

from collections.abc import Mapping
from typing import Final

VERSION: Final = "2018-05-01"

SINGLE: Final = "SendMessageToGlobe"
TEMPLATE: Final = "SendMessageWithTemplate"
BATCH: Final = "BatchSendMessageToGlobe"
QUERY: Final = "QueryMessage"

#: Operation to its required parameters, in the order in which the gateway misses them.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    SINGLE: ("To", "Message"),
    TEMPLATE: ("To", "From", "TemplateCode"),
    BATCH: ("To", "Message"),
    QUERY: ("MessageId",),
}
