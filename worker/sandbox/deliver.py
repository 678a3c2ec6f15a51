"""Carries out an answer on its connection, faults included."""

import asyncio
import socket
import struct

from aiohttp import web

from worker.sandbox.answer import Answer
from worker.sandbox.magic import Wire

#: SO_LINGER on, for zero seconds: closing sends a reset instead of an orderly end.
_RESET = struct.pack("ii", 1, 0)


async def deliver(request: web.BaseRequest, answer: Answer, leaving: asyncio.Event) -> web.StreamResponse:
    """Send *answer* as its wire says; a client that never gets one is let go when *leaving* is set."""
    if answer.pause_s:
        await asyncio.sleep(answer.pause_s)
    match answer.wire:
        case Wire.CUT:
            return _cut(request)
        case Wire.NEVER:
            await leaving.wait()  # or the client leaves, which cancels
            return _cut(request)
        case Wire.RESET:
            return await _reset(request, answer)
        case _:
            headers = {"Content-Type": answer.content_type, **answer.headers}
            return web.Response(body=answer.body, status=answer.status, headers=headers)


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # the server wants one; it goes nowhere


async def _reset(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Promise the whole body, send half of it, then reset."""
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    return response
