"""The sandbox: a double of Alibaba Cloud's international SMS API (Dysmsapi 2018-05-01), for tests, demos and what-if.

Point any client at it, the official SDK too: it speaks the API at ``/`` over plain HTTP, checks the
ACS3-HMAC-SHA256 signature on its own, keeps the provider's rules for numbers, senders and texts, enforces quotas, and
answers in the provider's shapes: business codes with HTTP 200, the gateway's codes with their own status.

    async with Sandbox(SandboxSettings(qps={"SendMessageToGlobe": 30})) as sandbox:
        url = await sandbox.start("127.0.0.1", 0)
        ...
        assert not sandbox.account.summary().duplicates

Operations: SendMessageToGlobe, SendMessageWithTemplate, BatchSendMessageToGlobe, QueryMessage, by POST or GET, with
parameters in the query or in a form. The access key is ``sandbox`` / ``sandbox-secret``; a template may have any code.

Magic recipients, by a number's last six digits, whatever comes before (``worker/sandbox/magic.py`` is the table):

    990NNN      always the API code whose SMPP code is NNN: 990033 is MOBILE_NUMBER_ILLEGAL, 990045 AMOUNT_NOT_ENOUGH
    990901-904  DATA_NOT_EXIST, CONTENT_EXCEED_LIMIT, QUANTITY_INCONSISTENT, InvalidAccessKeyId.NotFound
    992001      accepted, answers after 3 s              992009  accepted, the reply has the wrong types
    992002      accepted, connection cut, reply lost     992010  Throttling.User, retry after 300 ms, then OK
    992003      not accepted, connection cut             992011  not accepted, a code that is in no table
    992004      accepted, the reply is garbled           992012  accepted, never answers
    992005      not accepted, HTML page 502              992013  accepted, reset in the middle of the reply
    992006      not accepted, ServiceUnavailable 503     992014  accepted, HTTP 200 with an empty body
    992007      accepted (!), InternalError 500          992015  not accepted, HTML page 414
    992008      accepted, the reply is cut short
    991NNN      as 990NNN on the first call for that number, OK afterwards
    993NNN      as 992NNN on the first call for that number, OK afterwards

In a batch a refused number goes to ``FailedList``; the first number with a fault gives it to the whole call.

Its own endpoints:

    GET  /sandbox/account    the books in short: calls, accepted, duplicates by task id, codes, worst second
    GET  /sandbox/calls      every call in order, one JSON object a line
    GET  /sandbox/settings   the switches
    PUT  /sandbox/settings   any of {"latency_s", "jitter_s", "qps", "day_limit", "account_code"}; qps is an object
                             from operation to calls per second, or one number for each of them; 0 is no limit.
                             While account_code is set, every send is answered with it.
    POST /sandbox/reset      forget every call; switches stay

Where the provider's documentation is silent the sandbox takes a stand, and a client should not lean on it: above a
quota it answers QPS_LIMIT_CONTROL (or Throttling.User, by setting) and does not count the refused call; a number of
the wrong side of the border is NOT_SUPPORTED_COUNTRY; a batch of which every number failed is OK with SuccessCount 0.
"""

from worker.sandbox.account import Account, BookEntry, Duplicate, Summary
from worker.sandbox.magic import Behaviour, behaviour_of
from worker.sandbox.server import Sandbox, serve
from worker.sandbox.settings import SandboxSettings, Second

__all__ = [
    "Account",
    "Behaviour",
    "BookEntry",
    "Duplicate",
    "Sandbox",
    "SandboxSettings",
    "Second",
    "Summary",
    "behaviour_of",
    "serve",
]
