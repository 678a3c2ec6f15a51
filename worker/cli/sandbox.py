"""``sms-worker sandbox``: a double of the provider's API."""

import os
from typing import Annotated

import typer

from worker.cli.interrupt import complete
from worker.cli.output import say
from worker.core.limits.quota import SINGLES, Operation
from worker.errors import WorkerError
from worker.sandbox import SandboxSettings, Second, serve


def sandbox(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8080,
    key_id: Annotated[str, typer.Option(help="The access key id that it accepts.")] = "sandbox",
    key_secret: Annotated[str, typer.Option(help="Its secret.")] = "sandbox-secret",  # noqa: S107 - no secret
    check_signature: Annotated[
        bool, typer.Option("--signed/--unsigned", help="Refuse calls that are not signed rightly, or do not look.")
    ] = True,
    qps: Annotated[
        int, typer.Option(help="Calls per second and operation that it allows, of batch calls 1; 0: no limit.", min=0)
    ] = 0,
    second: Annotated[Second, typer.Option(help="Which seconds it counts them in.")] = Second.SLIDING,
    day_limit: Annotated[int, typer.Option(help="Messages per number and Singapore day; 0 is no limit.", min=0)] = 0,
    latency: Annotated[float, typer.Option(help="Seconds before every answer.", min=0)] = 0.0,
    jitter: Annotated[float, typer.Option(help="Seconds more, drawn evenly up to this.", min=0)] = 0.0,
) -> None:
    """Play the provider: signature, quotas, limits and every error code, through magic recipient numbers.

    A number that ends in 990NNN is answered with the code whose SMPP code is NNN. The books of what was accepted are at
    /sandbox/account.

    For example, with a worker that sends to it:

        sms-worker sandbox --port 8080 --qps 30
        export SMS_WORKER__PROVIDER__ENDPOINT=http://127.0.0.1:8080
        export SMS_WORKER__PROVIDER__ACCESS_KEY_ID=sandbox
        export SMS_WORKER__PROVIDER__ACCESS_KEY_SECRET=sandbox-secret
        sms-worker run
    """
    settings = SandboxSettings(
        access_key_id=key_id,
        access_key_secret=key_secret,
        check_signature=check_signature,
        qps={**{operation.value: qps for operation in SINGLES}, Operation.BATCH.value: min(qps, 1)},
        second=second,
        day_limit=day_limit,
        latency_s=latency,
        jitter_s=jitter,
    )
    try:
        complete(serve(settings, host, port, lambda url: say(f"sandbox listens on {url}")))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise WorkerError(f"cannot listen on {host} port {port}: {reason}") from error
    except KeyboardInterrupt:
        raise typer.Exit from None
