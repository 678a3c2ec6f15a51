"""``sms-worker demo``: the main job, end to end, on a real RabbitMQ and Redis and the sandbox of the provider."""

from worker.cli.demo.command import demo

__all__ = ["demo"]
