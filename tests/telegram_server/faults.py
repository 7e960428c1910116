"""What may go wrong at Telegram, or on the way to it, at a test's will."""

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.telegram_server.wire import Call

Kind = Literal["flood", "error", "cut_before", "cut_after", "hang_before", "hang_after", "slow"]


@dataclass
class Fault:
    """One misbehaviour, for the next ``times`` calls that match.

    flood: 429 with ``retry_after``. error: ``status`` with a page of a proxy, nothing was done.
    cut_before and cut_after: the connection ends, before or after the call had its effect.
    hang_before and hang_after: no answer comes for ``seconds``, then the connection ends; it had no effect,
    or had it at once.
    slow: everything is right, ``seconds`` late.
    """

    kind: Kind
    method: str = "sendMessage"
    times: int = 1
    chat_id: int | None = None
    retry_after: int = 1
    status: int = 502
    seconds: float = 30.0
    #: The port of the client whom it happened to last; 0: it did not happen yet.
    happened_to: int = 0

    def matches(self, call: Call) -> bool:
        is_method = self.method in ("*", call.method)
        return self.times > 0 and is_method and self.chat_id in (None, call.chat_id)


@dataclass
class Faults:
    """The faults that are left to happen."""

    waiting: list[Fault] = field(default_factory=list)
    #: The next updates come twice; or always the newest first. So do pushes.
    are_updates_doubled: bool = False
    are_updates_reversed: bool = False
    #: The updates that did come twice, and how often a newer one did come before an older; never cleared.
    doubled: list[dict[str, Any]] = field(default_factory=list)
    reversals: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong."""
        with self._lock:
            self.waiting.append(fault)
        return fault

    def take(self, call: Call, client_port: int) -> Fault | None:
        """Return what goes wrong with a call, and count it."""
        with self._lock:
            found = next((fault for fault in self.waiting if fault.matches(call)), None)
            if found is not None:
                found.times -= 1
                found.happened_to = client_port
            return found

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self.waiting.clear()
        self.are_updates_doubled = self.are_updates_reversed = False
