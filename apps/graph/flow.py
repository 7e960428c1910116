"""A flow as a table: which node follows which."""

from dataclasses import dataclass

from apps.graph import routing
from apps.graph.state import Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """One node of a flow and where it leads."""

    node: Node
    ok: str = routing.FINISH  # the next node when its verdict is ok
    again: str | None = None  # the node at which a loop that it may ask for begins


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A topology; raise ``version`` when a run under way could not continue with the new one."""

    name: str
    version: int
    start: str
    stops: dict[str, Stop]
