"""Requests out of a file or standard input, one after the other, for ``sms-worker publish``.

A file may be larger than the memory. What is at fault in a line does not end the file; what is at fault in all of it
(its encoding, its header) refuses it before anything is read.
"""

from worker.cli.requests.line import Line
from worker.cli.requests.read import Format, count, read
from worker.cli.requests.source import STANDARD_INPUT, Source

__all__ = ["STANDARD_INPUT", "Format", "Line", "Source", "count", "read"]
