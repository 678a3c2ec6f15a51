"""The sandbox's own endpoints, under ``/sandbox/``: its books and its switches."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from worker.sandbox.api import Api

PREFIX: Final = "/sandbox/"
_ROWS_AT_ONCE: Final = 1000


async def control(request: web.BaseRequest, api: Api) -> web.StreamResponse:
    """Answer a request to one of the sandbox's own endpoints."""
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "account":
            return _json(api.account.summary())
        case "GET", "calls":
            return await _calls(request, api)
        case "GET", "settings":
            return _json(api.settings.switches())
        case "PUT", "settings":
            return _switch(await request.read(), api)
        case "POST", "reset":
            api.reset()
            return web.Response(status=HTTPStatus.NO_CONTENT)
        case _:
            return _fault("there is no such endpoint", HTTPStatus.NOT_FOUND)


def _switch(body: bytes, api: Api) -> web.Response:
    try:
        changes: Any = orjson.loads(body)
    except ValueError:
        return _fault("the body must be JSON", HTTPStatus.BAD_REQUEST)
    if not isinstance(changes, Mapping):
        return _fault("the body must be a JSON object", HTTPStatus.BAD_REQUEST)
    try:
        api.configure(api.settings.switched(changes))
    except ValueError as fault:
        return _fault(str(fault), HTTPStatus.BAD_REQUEST)
    return _json(api.settings.switches())


async def _calls(request: web.BaseRequest, api: Api) -> web.StreamResponse:
    """Every row, one JSON object a line; calls go on to be answered between the pieces."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for start in range(0, len(api.account), _ROWS_AT_ONCE):
        rows = api.account.entries(start, start + _ROWS_AT_ONCE)
        await response.write(b"".join(orjson.dumps(row._asdict()) + b"\n" for row in rows))
    return response


def _json(content: object) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")


def _fault(text: str, status: HTTPStatus) -> web.Response:
    return web.Response(body=orjson.dumps({"error": text}), status=status, content_type="application/json")
