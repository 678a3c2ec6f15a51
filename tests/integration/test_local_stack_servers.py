"""The private servers keep what they promised across a kill, keep apart, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest
from redis.asyncio import Redis

from deploy.local import reaper
from deploy.local.error import StackError
from deploy.local.rabbitmq import RabbitMQ
from deploy.local.stack import Stack, clean
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
