"""sms-worker: from RabbitMQ to Alibaba Cloud's international Short Message Service, within the limits."""

__version__ = "0.1.0"
