"""``sms-worker sandbox``: a double of the provider's API."""

import asyncio
from typing import Annotated

import typer

from worker.cli.output import console
from worker.core.quota import Operation
from worker.errors import UsageError
from worker.sandbox import SandboxSettings, Second, serve


def sandbox(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65_535)] = 8080,
    key_id: Annotated[str, typer.Option(help="The access key id that it accepts.")] = "sandbox",
    key_secret: Annotated[str, typer.Option(help="Its secret.")] = "sandbox-secret",  # noqa: S107 - no secret
    check_signature: Annotated[bool, typer.Option(help="Refuse calls that are not signed rightly.")] = True,
    qps: Annotated[int, typer.Option(help="Calls per second and operation that it allows; 0 is no limit.", min=0)] = 0,
    second: Annotated[Second, typer.Option(help="Which seconds it counts them in.")] = Second.SLIDING,
    day_limit: Annotated[int, typer.Option(help="Messages per number and Singapore day; 0 is no limit.", min=0)] = 0,
    latency: Annotated[float, typer.Option(help="Seconds before every answer.", min=0)] = 0.0,
    jitter: Annotated[float, typer.Option(help="Seconds more, drawn evenly up to this.", min=0)] = 0.0,
) -> None:
    """Play the provider: signature, quotas, limits and every error code, through magic recipient numbers.

    Point a worker at it with --set provider.endpoint=http://127.0.0.1:8080 and the key above. Numbers that end in
    990NNN are answered with the code whose SMPP code is NNN; the account of what was accepted is at /sandbox/account.
    """
    settings = SandboxSettings(
        access_key_id=key_id,
        access_key_secret=key_secret,
        check_signature=check_signature,
        qps=dict.fromkeys((operation.value for operation in Operation), qps),
        second=second,
        day_limit=day_limit,
        latency_s=latency,
        jitter_s=jitter,
    )
    try:
        asyncio.run(serve(settings, host, port, lambda url: console.print(f"sandbox listens on {url}")))
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    except KeyboardInterrupt:
        raise typer.Exit from None
