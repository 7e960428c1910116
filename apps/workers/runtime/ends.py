"""The ends of containers, as a runtime tells them: hints that make us fast, never the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

#: Code of a container that is gone, or that nobody can start any more, without a record of why.
LOST: Final = "container_lost"


class EndKind(StrEnum):
    """What was said to have happened."""

    DIE = "die"
    OOM = "oom"  # something in it was killed for want of memory; it may live on


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerEnd:
    """One container that ended, or ran out of memory."""

    name: str
    container_id: str
    kind: EndKind
    exit_code: int | None = None
    at: float | None = None  # seconds since the epoch, by the runtime's clock
    on_exit: tuple[str, Mapping[str, Any]] | None = None  # as its spec had it


class EndSource(Protocol):
    """Where ends are heard."""

    def now(self) -> float:
        """Return the moment from which ``follow`` is to tell, if it is asked first thereafter."""
        ...

    def past(self) -> list[ContainerEnd]:
        """Return the ends of all containers that are still there.

        Raises:
            RuntimeUnavailable: nothing is known.

        """
        ...

    def follow(self, since: float) -> Iterator[ContainerEnd]:
        """Yield ends as they happen, from a moment on; may end at any time, to be called again.

        Raises:
            RuntimeUnavailable: nothing more is known.

        """
        ...
