"""What goes wrong with a chat while people use it: Telegram's faults, and deaths of the bot's processes.

The plan is drawn by a seed; what happens next waits for the runs, so that all of it happens while they go on.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from tests.journeys.world import World
from tests.telegram_server import Fault, Person, TelegramServer
from tests.telegram_server.faults import Kind

#: What a fault may hit.
CALLS: Final = ("sendMessage", "editMessageText", "answerCallbackQuery", "deleteMessage", "sendChatAction")
#: Faults by chance, with their shares.
SHARES: Final = {
    "pause of a chat": 10,
    "pause of all": 3,
    "pause of edits": 6,
    "5xx": 12,
    "cut before": 10,
    "cut after": 12,
    "slow answer": 5,
    "updates doubled": 8,
    "updates reversed": 4,
    "no updates": 6,
}
DEATHS: Final = (
    "bot killed",
    "bot killed with updates",
    "sender killed mid-message",
    "sender killed mid-edit",
    "Celery killed",
)
#: The bot waits ten seconds for an answer, and then everybody waits five more.
SILENCES: Final = ("silence before", "silence after")
_SILENT_SECONDS: Final = 12.0
_LAND_SECONDS: Final = 20.0
_FAULTS_PER_RUN: Final = 4
_POLL_SECONDS: Final = 0.01
#: How many other faults come before a death is tried again.
_LATER: Final = 3


def plan(runs: int, draw: random.Random) -> list[str]:
    """Return what will go wrong in so many runs, in order."""
    names, weights = list(SHARES), list(SHARES.values())
    found = draw.choices(names, weights, k=runs * _FAULTS_PER_RUN - len(names)) + names
    found += [name for name in DEATHS for _ in range(max(1, runs // 12))]
    found += [name for name in SILENCES for _ in range(max(1, runs // 25))]
    draw.shuffle(found)
    # One death of each kind comes early: one whose moment did not come is tried again while people go on.
    for name in DEATHS:
        found.remove(name)
        found.insert(draw.randrange(len(found) // 2), name)
    return found


@dataclass
class Weather:
    """Everything that goes wrong, one thing after the other, in a thread of its own."""

    world: World
    telegram: TelegramServer
    people: Sequence[Person]
    draw: random.Random
    to_come: list[str]
    progress: Callable[[], float]
    """How much of the runs has begun: 0 to 1."""
    happened: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Deaths whose moment did not come."""

    def __post_init__(self) -> None:
        self.planned = Counter(self.to_come)
        self._stopping = threading.Event()
        self._faults: list[tuple[str, Fault]] = []
        self._thread = threading.Thread(target=self._run, name="weather", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let nothing go wrong any more, and count what did.

        Raises:
            AssertionError: it broke off itself.

        """
        self._stopping.set()
        self._thread.join(60)
        self.telegram.faults.clear()
        for name, fault in self._faults:
            self.happened[name] += bool(fault.happened_to)
        self._faults.clear()
        # In updates and in answers with several: once planned, the turning round lasts.
        self.happened["updates doubled"] = len(self.telegram.faults.doubled)
        self.happened["updates reversed"] = self.telegram.faults.reversals
        assert self.error is None, f"the weather broke off: {self.error!r}"

    def _run(self) -> None:
        total = len(self.to_come)
        try:
            while self.to_come and not self._stopping.wait(self.draw.uniform(0.1, 0.5)):
                begun = total - len(self.to_come)
                if begun < total * self.progress():
                    self._bring(self.to_come.pop(0))
        except BaseException as error:
            self.error = error

    def _bring(self, name: str) -> None:
        if name in DEATHS:
            landed = self._kill(name)
            (self.happened if landed else self.missed)[name] += 1
            if not landed:
                self.to_come.insert(min(_LATER, len(self.to_come)), name)
        elif name.startswith("updates"):
            is_doubled = name == "updates doubled"
            faults = self.telegram.faults
            faults.are_updates_doubled = is_doubled or faults.are_updates_doubled
            faults.are_updates_reversed = faults.are_updates_reversed is is_doubled
        else:
            self._faults.append((name, self.telegram.faults.add(self._fault(name))))

    def _fault(self, name: str) -> Fault:
        draw = self.draw
        method, pause = draw.choice(CALLS), draw.randint(1, 3)
        kind: Kind = draw.choice(("error", "cut_after", "cut_before"))
        return {
            "pause of a chat": Fault(
                "flood", "sendMessage", chat_id=draw.choice(self.people).id, retry_after=pause
            ),
            "pause of all": Fault("flood", "*", times=4, retry_after=min(pause, 2)),
            "pause of edits": Fault("flood", "editMessageText", retry_after=1),
            "5xx": Fault("error", method, times=draw.randint(1, 2), status=draw.choice((500, 502, 503))),
            "cut before": Fault("cut_before", method),
            "cut after": Fault("cut_after", method),
            "slow answer": Fault("slow", method, seconds=draw.uniform(0.5, 2.0)),
            "no updates": Fault(kind, "getUpdates"),
            "silence before": Fault("hang_before", "sendMessage", seconds=_SILENT_SECONDS),
            "silence after": Fault("hang_after", "sendMessage", seconds=_SILENT_SECONDS),
        }[name]

    def _kill(self, name: str) -> bool:
        """Let a process die; False if its moment did not come."""
        match name:
            case "bot killed":
                return self._kill_child_of_the_stack("runbot")
            case "bot killed with updates":
                return self._wait(lambda: bool(self.telegram.bot.updates)) and self._kill_child_of_the_stack(
                    "runbot", after_seconds=self.draw.uniform(0.0, 0.1)
                )
            case "Celery killed":
                return self._kill_child_of_the_stack("chat")
            case _:
                return self._kill_sender("editMessageText" if name.endswith("edit") else "sendMessage")

    def _kill_child_of_the_stack(self, name: str, *, after_seconds: float = 0.0) -> bool:
        time.sleep(after_seconds)
        if not self._wait(lambda: self.world.stack.pid(name) is not None):
            return False
        self.world.stack.kill(name)
        return True

    def _kill_sender(self, method: str) -> bool:
        """Kill the process that waits for the answer to a call, which had its effect or will never have."""
        kind: Kind = self.draw.choice(("hang_after", "hang_before"))
        fault = self.telegram.faults.add(Fault(kind, method, seconds=_SILENT_SECONDS))
        if not self._wait(lambda: bool(fault.happened_to)):
            fault.times = 0
            return False
        pid = _process_at(fault.happened_to)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def _wait(self, is_so: Callable[[], bool]) -> bool:
        until = time.monotonic() + _LAND_SECONDS
        while not self._stopping.is_set() and time.monotonic() < until:
            if is_so():
                return True
            time.sleep(_POLL_SECONDS)
        return False


def _process_at(port: int) -> int | None:
    """Return the process whose connection has this port on its side."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == "ESTABLISHED":
            return connection.pid
    return None
