"""Exit codes, as README.md lists them."""

from typing import Final

#: Everything asked for was done.
DONE: Final = 0
#: It ran, and something asked for could not be done; the output says what. What was asked for by name (an id, a code,
#: a lane) and is not there, is that; that there is nothing at all to list, or to move with --all, is not.
FAILED: Final = 1
#: The command line or the configuration has a fault; nothing was begun.
USAGE: Final = 2
#: RabbitMQ or Redis cannot be reached, or RabbitMQ's topology differs in a way that can lose messages.
UNAVAILABLE: Final = 3
#: A worker left with something in hand, on a second signal or after its grace period: it is delivered again. Or Redis
#: could not be told of calls that were made; the log says how many.
LEFT_AT_ONCE: Final = 4
#: A command other than run was interrupted by Ctrl-C, SIGTERM or SIGHUP.
INTERRUPTED: Final = 130
