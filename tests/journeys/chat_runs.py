"""What people do with the bot in runs: each begins something in the chat and waits for its final card."""

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

import psutil
import psycopg

from tests.journeys.chat_judge import Owed
from tests.journeys.world import World
from tests.telegram_server import Person, Shown
from tests.telegram_server.state import Tap

#: A chat under faults is slow: pauses, silence, processes that start again.
SECONDS: Final = 240.0
_POLL_SECONDS: Final = 0.25
#: The first run of everybody, then these in turn.
FIRST: Final = "build"
CYCLE: Final = (
    *("stop", "again", "again", "choose", "broken", "again", "change", "again", "again", "fail", "again"),
)
#: Of what could go on to its end, what is stopped: that is cheaper, and its end comes at any moment.
_STOPPED: Final = 0.6
_REPEATABLE: Final = ("canceled", "failed")
Found = TypeVar("Found")


@dataclass
class Run:
    """One thing that a person had done."""

    kind: str
    number: int
    person: int
    task: str = ""
    status: str = ""
    seconds: float = 0.0
    taps: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {key: value for key, value in asdict(self).items() if key != "began"}


class Chatter:
    """Somebody who uses the bot, one run after the other."""

    def __init__(self, world: World, person: Person, *, thief: Person, draw: random.Random) -> None:
        """Prepare.

        Args:
            world: the system.
            person: who was let in.
            thief: somebody else who was let in, and got hold of the buttons.
            draw: what is left to chance.

        """
        self.person = person
        self.runs: list[Run] = []
        self.error: BaseException | None = None
        self._world, self._thief, self._draw = world, thief, draw
        self._connection: psycopg.Connection[Any] | None = None
        self._taps: list[tuple[Run, str, Tap]] = []
        self._repeated: set[str] = set()

    def go(self, kinds: list[str], numbers: Callable[[], int]) -> None:
        """Do one run of each kind; what goes wrong is kept in ``error``."""
        try:
            for kind in kinds:
                run = Run(kind=kind, number=numbers(), person=self.person.id)
                self.runs.append(run)
                getattr(self, f"_{kind}")(run)
                self._await_end(run)
        except BaseException as error:
            self.error = error
        finally:
            if self._connection is not None:
                self._connection.close()

    def settle(self) -> None:
        """Note how the taps were answered."""
        for run, who, tap in self._taps:
            run.taps.append({"by": who, "answer": tap.answer, "is_alert": tap.is_alert})
        self._taps.clear()

    def _build(self, run: Run) -> None:
        self.person.says(f"build me an inventory of books with title, author and {_mark(run)}")
        self._await_task(run)

    def _change(self, run: Run) -> None:
        self.person.says(f"add a {_mark(run)} field to the books project")
        self._await_task(run)

    def _fail(self, run: Run) -> None:
        """Ask for what the developer cannot do."""
        self.person.says(f"remove the {_mark(run)} field from the books project")
        self._await_task(run)

    def _stop(self, run: Run) -> None:
        """Stop in the middle, with two taps, and somebody else's before."""
        self._change(run)
        self._stop_it(run)

    def _again(self, run: Run) -> None:
        """Have what was stopped, or failed, done once more; tapped twice, and perhaps stopped again."""
        repeatable = [
            one for one in self.runs if one.status in _REPEATABLE and one.task not in self._repeated
        ]
        if not repeatable:
            run.kind = "stop"
            return self._stop(run)
        before = repeatable[-1].task
        self._repeated.add(before)
        self._tap(run, "Try again", f"end:{before}:")
        query = """
            SELECT id::text FROM projects_task
            WHERE retry_of_id = %s OR retry_of_id IN (SELECT id FROM projects_task WHERE follows_id = %s)"""
        run.task = self._await(lambda: self._one(query, before, before), f"the task after {before}")
        return self._perhaps_stop(run)

    def _choose(self, run: Run) -> None:
        """Leave open which project is meant, and answer by a button; tapped twice."""
        self._have_second_project()
        self.person.says(f"add a {_mark(run)} field")
        query = """
            SELECT q.id::text FROM graph_question q JOIN projects_user u ON u.id = q.owner_id
            WHERE u.telegram_id = %s AND q.status = 'open' AND q.options <> '[]'::jsonb"""
        found = self._await(lambda: self._rows(query, self.person.id), f"a question about {_mark(run)}")
        self._tap(run, "books", f"question:{found[0][0]}:")
        self._await_task(run)
        self._perhaps_stop(run)

    def _broken(self, run: Run) -> None:
        """Lose the assistant in the middle of its turn, hand the message over once more, and stop."""
        self.person.says(f"add a {_mark(run)} field to the books project\nrehearsal: slow:6")
        query = """
            SELECT t.id::text, t.worker_id::text FROM workers_turn t
            WHERE t.prompt LIKE %s AND t.task_id IS NULL AND t.status = 'running'"""
        ((turn, worker),) = self._await(lambda: self._rows(query, self._like(run)), "the assistant's turn")
        self._await(lambda: _kill_wrapper(worker), "the assistant's process")
        self._tap(run, "Hand my message over once more", f"turn:{turn}")
        self._await_task(run)
        self._stop_it(run)

    def _perhaps_stop(self, run: Run) -> None:
        if self._draw.random() < _STOPPED:
            self._stop_it(run)

    def _stop_it(self, run: Run) -> None:
        time.sleep(self._draw.uniform(0.0, 2.0))
        self._tap(run, "Stop", f"card:{run.task}:")

    def _have_second_project(self) -> None:
        query = "SELECT username FROM projects_user WHERE telegram_id = %s"
        api = self._world.as_person(self._one(query, self.person.id))
        if len(list(api.list("/api/projects/"))) < 2:
            api.post("/api/projects/", {"name": "Music", "modules": ["backend"]}, create=True)

    def _await_task(self, run: Run) -> None:
        query = """
            SELECT t.id::text FROM projects_task t
            WHERE t.spec LIKE %s AND t.type = 'engineering' AND t.retry_of_id IS NULL"""
        run.task = self._await(lambda: self._one(query, self._like(run)), f"a task with {_mark(run)}")

    def _like(self, run: Run) -> str:
        return f"%{_mark(run)}%"

    def _await_end(self, run: Run) -> None:
        """Wait until the card and the last word are where the person sees them."""
        query = """
            SELECT coalesce(behind.status, t.status)
            FROM bot_livecard l JOIN projects_task t ON t.id = l.task_id
            -- A stop that came after the engineering has stopped the deployment.
            LEFT JOIN projects_task behind
              ON behind.follows_id = t.id AND behind.retry_of_id IS NULL AND t.status = 'succeeded'
            JOIN bot_chat c ON c.id = l.chat_id
            JOIN bot_delivery card ON card.idempotency_key = 'card:' || t.id || ':' || c.id
            JOIN bot_delivery said ON said.idempotency_key = 'end:' || t.id || ':' || c.id
            WHERE t.id = %s AND c.telegram_id = %s AND l.finished_at IS NOT NULL
              AND card.status = 'sent' AND card.shown_revision = card.wanted_revision
              AND said.status = 'sent'"""
        run.status = self._await(
            lambda: self._one(query, run.task, self.person.id), f"the final card of {run.kind} {run.task}"
        )
        run.seconds = round(time.monotonic() - run.began, 1)

    def _tap(self, run: Run, words: str, key: str) -> None:
        """Tap a button of one message, after somebody else did, and once more; nothing if it is gone.

        Args:
            run: in which.
            words: on the button, or a part of them.
            key: what the key of the message's delivery begins with.

        """
        shown = self._await(lambda: self._shown(key, words), f"a button {words!r} of {key}")
        button = _button(shown, words)
        if button is None:
            return  # it is over
        text, data = button["text"], button["callback_data"]
        for who, person in (("thief", self._thief), ("person", None), ("person", None)):
            # The card may lose its button at any moment; who has seen it can tap it all the same.
            pressed = Shown(message_id=shown.message_id, text="", is_from_bot=True, buttons=[[button]])
            self._taps.append((run, who, self.person.taps(text, on=pressed, person=person, data=data)))

    def _shown(self, key: str, words: str) -> Shown | None:
        """Return the message of a delivery once it has a button, or has come to its end without."""
        query = """
            SELECT d.message_id, l.finished_at IS NOT NULL FROM bot_delivery d
            JOIN bot_chat c ON c.id = d.chat_id
            LEFT JOIN bot_livecard l ON d.idempotency_key = 'card:' || l.task_id || ':' || l.chat_id
            WHERE c.telegram_id = %s AND starts_with(d.idempotency_key, %s) AND d.message_id IS NOT NULL"""
        for message_id, is_over in self._rows(query, self.person.id, key):
            shown = self.person.chat.messages[message_id]
            if is_over or _button(shown, words):
                return shown
        return None

    def _await(self, ask: Callable[[], Found | None], what: str) -> Found:
        until = time.monotonic() + SECONDS
        while not (found := ask()):
            assert time.monotonic() < until, f"{self.person.id} waits for {what}: {self.person.texts()[-6:]}"
            time.sleep(_POLL_SECONDS)
        return found

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        # Looking costs a tenth of a connection.
        if self._connection is None:
            self._connection = psycopg.connect(self._world.database_url, autocommit=True)
        return self._connection.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> str:
        found = self._rows(query, *values)
        return str(found[0][0]) if found else ""


def kinds_of(runs: int, people: int) -> list[list[str]]:
    """Return what everybody does, so many runs in all."""
    found: list[list[str]] = [[FIRST] for _ in range(people)]
    for number in range(runs - people):
        mine = found[number % people]
        # Everybody begins elsewhere in the circle, so that few runs see all of it.
        mine.append(CYCLE[(3 * (number % people) + len(mine) - 1) % len(CYCLE)])
    return found


def owed_to(world: World, telegram_id: int) -> list[Owed]:
    """Return what the bot owed to somebody, or still does, in order."""
    query = """
        SELECT d.id, d.idempotency_key, d.kind, d.status, coalesce(d.payload->>'text', ''), d.message_id,
               d.is_plain, coalesce(d.failure->>'code', '')
        FROM bot_delivery d JOIN bot_chat c ON c.id = d.chat_id WHERE c.telegram_id = %s ORDER BY d.id"""
    names = ("id", "key", "kind", "status", "text", "message_id", "is_plain", "code")
    return [Owed(**dict(zip(names, row, strict=True))) for row in world.rows(query, telegram_id)]


def _mark(run: Run) -> str:
    """Return a word that stands in nothing else that is said or done."""
    return f"{'b' if run.kind == FIRST else 'c'}{run.number}x"


def _button(shown: Shown, words: str) -> dict[str, Any] | None:
    return next((one for row in shown.buttons for one in row if words in one["text"]), None)


def _kill_wrapper(worker_id: str) -> bool:
    for process in psutil.process_iter(["cmdline", "cwd"]):
        is_wrapper = any("worker_wrapper" in word for word in process.info["cmdline"] or [])
        if is_wrapper and worker_id in (process.info["cwd"] or ""):
            process.kill()
            return True
    return False
