"""RabbitMQ: the only importer of aio_pika and of what is below it, aiormq (channels) and pamqp (frames)."""
