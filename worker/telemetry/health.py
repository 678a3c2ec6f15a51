"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP.

Alive: the event loop turns. Ready: able to take messages and to settle them. The truth is asked for at each request;
nothing is cached. An event loop that is stuck cannot answer, which the asker's own timeout notices; one that stutters
answers 503 until it turns again.
"""

import os
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import orjson
from aiohttp import web

from worker.errors import WorkerError
from worker.settings.sections import HttpSettings

#: What holds (True), what does not (False), and facts that readiness does not depend on (texts).
Conditions: TypeAlias = Mapping[str, bool | str]
#: How often the loop shows that it turns, in seconds.
_TICK_S: Final = 0.5
#: A loop that has not turned for so long is stuck: calls time out and heartbeats are missed.
_STUCK_S: Final = 5.0


class Health:
    """The HTTP server of the operator's probes."""

    def __init__(
        self,
        settings: HttpSettings,
        conditions: Callable[[], Conditions],
        exposition: Callable[[], tuple[bytes, str]],
    ) -> None:
        """*conditions* decide readiness; *exposition* gives the metrics and their content type."""
        self._settings = settings
        self._conditions = conditions
        self._exposition = exposition
        self._runner: web.AppRunner | None = None
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._ticked = 0.0
        #: The server's address, once started.
        self.url = ""

    async def start(self) -> None:
        """Listen; with port 0 on a free one.

        Raises:
            WorkerError: the port cannot be had.
        """
        routes = web.Application()
        routes.router.add_get("/healthz", self._healthz)
        routes.router.add_get("/readyz", self._readyz)
        routes.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(routes, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.port).start()
        except OSError as error:
            await runner.cleanup()
            place = f"{self._settings.host} port {self._settings.port}"
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise WorkerError(
                f"health and metrics cannot listen on {place}: {reason}; "
                "give this worker another http.port, or 0 for a free one"
            ) from error
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._loop = get_running_loop()
        self._tick()

    async def aclose(self) -> None:
        """Stop listening; may be called more than once."""
        if self._timer is not None:
            self._timer.cancel()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def _tick(self) -> None:
        if self._loop is not None:
            self._ticked = self._loop.time()
            self._timer = self._loop.call_later(_TICK_S, self._tick)

    async def _healthz(self, _request: web.Request) -> web.Response:
        age_s = get_running_loop().time() - self._ticked
        alive = age_s < _STUCK_S
        return _json({"alive": alive, "loop_tick_age_s": round(age_s, 3)}, holds=alive)

    async def _readyz(self, _request: web.Request) -> web.Response:
        conditions = self._conditions()
        ready = False not in conditions.values()
        return _json({"ready": ready, "conditions": dict(conditions)}, holds=ready)

    async def _metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self._exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})


def _json(answer: Mapping[str, object], *, holds: bool) -> web.Response:
    return web.Response(body=orjson.dumps(answer), status=200 if holds else 503, content_type="application/json")
