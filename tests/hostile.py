"""All hostile messages: no worker may ever trip over one.

Every message has a body of its own, by which it is told at its end. A message that only lies about what a worker must
not rely on ends like an honest one.
"""

from tests import hostile_bodies, hostile_properties
from tests.hostile_case import Hostile

_GROUPS = (
    hostile_bodies.no_json,
    hostile_bodies.odd_json,
    hostile_bodies.repeated_keys,
    hostile_bodies.wrong_types,
    hostile_bodies.wrong_values,
    hostile_bodies.contradictions,
    hostile_bodies.absurd_instants,
    hostile_bodies.wrong_lanes,
    hostile_properties.odd_properties,
    hostile_properties.lying_history,
    hostile_properties.foreign_headers,
    hostile_properties.unreadable_headers,
    hostile_properties.astray,
)


def collection() -> tuple[Hostile, ...]:
    """Every message."""
    return tuple(hostile for group in _GROUPS for hostile in group())
