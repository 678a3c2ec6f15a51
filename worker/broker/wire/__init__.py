"""AMQP 0-9-1 of the hot path as bytes: deliveries, publishes, confirms and acknowledgements, with no I/O."""
