"""Exit codes; deploy/PRODUCTION.md lists them with what is said here."""

from typing import Final

#: Everything asked for was done. A worker: everything in hand was settled or requeued.
DONE: Final = 0
#: It ran, and something asked for could not be done; the output says what. So it is when an id, a code or a lane that
#: was asked for is not there; that there is nothing at all to list, or to move with --all, is no failure.
FAILED: Final = 1
#: The command line or the configuration has a fault; nothing was begun.
USAGE: Final = 2
#: RabbitMQ or Redis cannot be reached, a queue does not exist, or RabbitMQ's topology differs in a way that can lose
#: messages. A running worker does not leave for this: it waits.
UNAVAILABLE: Final = 3
#: A worker left with something in hand, on a second signal or after its grace period: it is delivered again. Or Redis
#: could not be told in that time of calls that were made; event limiter.untold says of how many.
LEFT_AT_ONCE: Final = 4
#: A command other than run was interrupted by Ctrl-C, SIGTERM or SIGHUP. They end status --watch, which leaves as it
#: would after its last look.
INTERRUPTED: Final = 130
