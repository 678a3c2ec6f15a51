"""Which code arrives in which shape: the gateway's own codes with their HTTP status, all others as business codes."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from worker.core.outcome.catalog import catalog
from worker.core.outcome.outcome import Table


class GatewayCode(NamedTuple):
    """One code of the gateway in front of the API."""

    status: int
    message: str


#: Where sources differ about the status, the first that the documentation gives.
GATEWAY: Final[Mapping[str, GatewayCode]] = {
    "Throttling": GatewayCode(400, "Request was denied due to request throttling."),
    "Throttling.User": GatewayCode(400, "Request was denied due to user flow control."),
    "Throttling.Api": GatewayCode(400, "Request was denied due to api flow control."),
    "ServiceUnavailable": GatewayCode(503, "The request has failed due to a temporary failure of the server."),
    "InternalError": GatewayCode(500, "The request processing has failed due to some unknown error."),
    "SignatureNonceUsed": GatewayCode(400, "Specified signature nonce was used already."),
    "InvalidTimeStamp.Expired": GatewayCode(400, "Specified time stamp or date value is expired."),
    "InvalidTimeStamp.Format": GatewayCode(400, "Specified time stamp or date value is not well formatted."),
    "SignatureDoesNotMatch": GatewayCode(400, "Specified signature is not matched with our calculation."),
    "IncompleteSignature": GatewayCode(400, "The request signature does not conform to Aliyun standards."),
    "InvalidSignatureMethod": GatewayCode(400, "Specified signature method is not supported."),
    "InvalidAccessKeyId.NotFound": GatewayCode(404, "Specified access key is not found."),
    "InvalidAccessKeyId.Inactive": GatewayCode(400, "Specified access key is disabled."),
    "Forbidden": GatewayCode(403, "User not authorized to operate on the specified resource."),
    "Forbidden.RAM": GatewayCode(403, "User not authorized to operate on the specified resource, or not by RAM."),
    "InsufficientBalance": GatewayCode(400, "Your account does not have enough balance."),
    "UnsupportedHTTPMethod": GatewayCode(400, "This http method is not supported."),
    "NoSuchVersion": GatewayCode(400, "Specified parameter Version is not valid."),
    "InvalidAction.NotFound": GatewayCode(404, "Specified api is not found, please check your url and method."),
}

#: The provider's page of error codes lists this one by its message; it is the gateway's.
BY_MESSAGE: Final[Mapping[str, str]] = {"Specified AccessKeyId is not found": "InvalidAccessKeyId.NotFound"}

_MISSING: Final = "Missing"
_DESCRIPTIONS: Final = {
    row.code: row.description for row in catalog() if row.table is Table.API and row.code not in BY_MESSAGE
}


def of(code: str) -> GatewayCode | None:
    """The gateway's row of *code*; None when it is a business code."""
    if code.startswith(_MISSING):
        return GatewayCode(400, f"{code.removeprefix(_MISSING)} is mandatory for this action.")
    return GATEWAY.get(code)


def description(code: str) -> str:
    """The ``ResponseDescription`` of the business code *code*."""
    return _DESCRIPTIONS.get(code, "This code is in no table.")


def is_refusal(code: str) -> bool:
    """Whether *code* is one that the provider refuses a call with."""
    return code in GATEWAY or (code in _DESCRIPTIONS and code != "OK")
