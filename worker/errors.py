"""What ends or pauses the worker. What can happen to a request is not here: that is a value (`core/outcome`).

WorkerError
├── SettingsError          the configuration has faults; all of them are listed
├── BrokerUnavailable      RabbitMQ cannot be reached, or the connection broke
│   └── PublishUnconfirmed the broker did not confirm: the message may or may not be there
│       └── Unpublishable  it ended its channel, or could not be written: perhaps the message's own fault
├── Unroutable             the broker confirmed that no queue takes the message
├── TopologyMismatch       the broker has a queue that differs from the design in a way that can lose messages
├── LimiterUnavailable     Redis cannot be reached, or refuses: nothing may be sent
├── InUse                  somebody else looks into a dead-letter queue: what it holds cannot be told
└── UsageError             the caller asked for something that cannot be; says what to do
"""


class WorkerError(Exception):
    """Base of every error of this program; its text is a sentence for the operator."""


class SettingsError(WorkerError):
    """The configuration has faults; the text lists all of them."""


class BrokerUnavailable(WorkerError):  # noqa: N818 - it names a state
    """RabbitMQ cannot be reached, or the connection broke."""


class PublishUnconfirmed(BrokerUnavailable):
    """The broker did not confirm a publish: the message may or may not be there."""


class Unpublishable(PublishUnconfirmed):
    """The broker closed the channel or the connection for a publish, or the message cannot be written.

    Of several messages in flight on a channel any may be at fault; of one that had it for itself this is certain.
    """


class Unroutable(WorkerError):  # noqa: N818
    """The broker has no queue for a published message."""


class TopologyMismatch(WorkerError):  # noqa: N818
    """The broker's topology differs from the design in a way that can lose messages."""


class LimiterUnavailable(WorkerError):  # noqa: N818
    """Redis cannot be reached or refuses: nothing may be sent until it answers."""


class InUse(WorkerError):  # noqa: N818
    """Somebody else looks into a dead-letter queue and has its letters in hand: what it holds cannot be told."""


class UsageError(WorkerError):
    """The caller asked for something that cannot be; the text says what to do."""
