"""Kills workers at random moments, many at once, and has each end judged by what the worker really did."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any, Final

import psutil

from tests.journeys import census, judge, prey
from tests.journeys.judge import Stage, Strike
from tests.journeys.prey import Prey
from tests.journeys.rows import FINAL, Rows
from tests.journeys.scout import Scout
from tests.journeys.surveyor import Surveyor
from tests.journeys.world import World
from tests.own_daemon import OwnDaemon

SENTENCE: Final = "an inventory of books with title, author and year"
#: What strikes one container, and what strikes the whole system.
PERSONAL: Final = ("container", "oom")
DAEMON: Final = ("daemon-stop", "daemon-kill")
CELERY: Final = ("flow", "flow-child", "ingest")
#: Before the end nobody is struck any more, so that what was begun can end.
_LAST_WORK_SECONDS: Final = 240.0
_PROGRESS_SECONDS: Final = 10.0


@dataclass
class Hunt:
    """One series of kills on one system."""

    world: World
    daemon: OwnDaemon
    plan: list[str]
    """The kinds of the kills to come; the order is kept among those that strike one container, and among
    those that strike all."""
    draw: random.Random
    habits: dict[str, int]
    """How the workers work, in turn, and for how many seconds."""
    tasks_at_once: int
    share: float
    """Of the workers, that are struck; the others are left in peace."""
    say: Callable[[str], None] = lambda _: None
    kills: list[dict[str, Any]] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Every worker there was, with how it ended."""
    tasks: list[dict[str, Any]] = field(default_factory=list)
    repeated: list[dict[str, Any]] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)
    """What was left behind while the system ran, and after it was stopped."""
    _hunted: dict[str, Prey] = field(default_factory=dict)
    _strikes: dict[str, list[Strike]] = field(default_factory=dict)
    _fates: dict[str, tuple[str, float]] = field(default_factory=dict)
    _next_common: float = 0.0
    _next_words: float = 0.0

    def run(self, *, seconds: float) -> None:
        """Kill everything on the plan, and wait until all that was begun has ended."""
        self._habits = cycle(self.habits.items())
        self._known_images = census.images(self.daemon)
        self._client = self.daemon.client()
        self._rows = Rows(self.world.database_url)
        self._rows.watch_ends()
        self._until = time.monotonic() + seconds
        try:
            with Scout(self.daemon.volumes) as self._scout, Surveyor(self.world.stack) as self._surveyor:
                while self._step():
                    time.sleep(0.1)
            self.repeated = self._rows.repeated()
            restarts = [kill["at"] for kill in self.kills if kill["kind"] in DAEMON]
            self.tasks = self._rows.task_ends(self.workers, restarts)
        finally:
            self._rows.close()
            self._client.close()
            for found in self._hunted.values():
                found.close()

    def look_behind(self, *, seconds: float) -> None:
        """Note what is still left when the system has had time to tidy up."""
        until = time.monotonic() + seconds
        while True:
            self.left = census.while_running(self.world, self.daemon, known_images=self._known_images)
            if not any(self.left.values()) or time.monotonic() > until:
                return
            time.sleep(1)
            self._tell()

    def look_after(self, installation: str) -> None:
        """Add what is left on the daemon once the system is stopped."""
        found = census.on_daemon(self.daemon, installation, known_images=self._known_images)
        for kind, names in found.items():
            self.left[kind] = sorted({*self.left.get(kind, []), *names})

    def _step(self) -> bool:
        """Look once at everything; tells whether anything is still to be done."""
        found, unfinished = self._rows.workers(), self._rows.unfinished_tasks()
        self._require_time(unfinished)
        if self.plan and len(unfinished) < self.tasks_at_once:
            habit, edit_seconds = next(self._habits)
            self.world.begin(f"{SENTENCE}\nrehearsal: {habit}:{edit_seconds}", deploy=False)
        living = [row for row in found if row["status"] not in FINAL]
        for row in living:
            self._watch(row)
        at_work = [row["worker"] for row in living if row["worker"] in self._hunted]
        for worker in at_work:
            kind, at = self._fates.get(worker, ("", 0.0))
            if kind and time.time() >= at:
                del self._fates[worker]
                self._strike(worker, kind)
        self._strike_all(len(at_work))
        self._judge_ended(found)
        self._tell()
        return bool(self.plan or unfinished or living)

    def _require_time(self, unfinished: list[str]) -> None:
        late = f"{len(self.plan)} kills to come, unfinished: {unfinished}"
        assert time.monotonic() < self._until, f"{late}\n{self.world.logs()}"
        if time.monotonic() > self._until - _LAST_WORK_SECONDS:
            self.plan.clear()
            self._fates.clear()

    def _watch(self, row: dict[str, Any]) -> None:
        if row["worker"] in self._hunted or (found := self._scout.take(row["branch"])) is None:
            return
        self._hunted[row["worker"]] = found
        kind = next((kind for kind in self.plan if kind in PERSONAL), "")
        if kind and self.draw.random() < self.share:
            self.plan.remove(kind)
            longest = self.habits[row["habit"]] * 0.95
            self._fates[row["worker"]] = (kind, found.seen_at + self.draw.uniform(0.3, longest))

    def _strike(self, worker: str, kind: str) -> None:
        strike = prey.kill_container if kind == "container" else prey.exhaust_memory
        at, stages = time.time(), self._rows.stages()
        self._hunted[worker].strike()
        if worker not in stages or not strike(self._client, worker):
            self.plan.append(kind)  # it was dead already; the kill is still owed
            return
        self._record(kind, at, {worker: stages[worker]})

    def _strike_all(self, at_work: int) -> None:
        kind = next((kind for kind in self.plan if kind not in PERSONAL), "")
        if not kind or not at_work or not self._is_turn_of_all():
            return
        if not self._next_common:
            self._next_common = time.time() + self.draw.uniform(0.5, 6.0)
        if time.time() < self._next_common:
            return
        self._next_common = 0.0
        self.plan.remove(kind)
        if kind in DAEMON:
            self._restart_daemon(kind)
        else:
            at, stages = time.time(), self._rows.stages()
            self._kill_celery(kind)
            self._record(kind, at, stages)

    def _restart_daemon(self, kind: str) -> None:
        at, stages = time.time(), self._rows.stages()
        for worker in stages.keys() & self._hunted.keys():
            self._hunted[worker].strike()
        self.daemon.end(gently=kind == "daemon-stop")
        # A container may have been started in between; none can be from now on.
        for worker, stage in self._rows.stages().items():
            if stage is Stage.STARTING and stages.get(worker, Stage.WAITING) is Stage.WAITING:
                stages[worker] = stage
        self._record(kind, at, stages)
        self.daemon.start()

    def _is_turn_of_all(self) -> bool:
        """Keep to the plan's proportion: what strikes all is quicker, and would leave the rest no time."""
        done = [kill["kind"] in PERSONAL for kill in self.kills]
        to_come = [kind in PERSONAL for kind in self.plan] + [True] * len(self._fates)
        personal = (sum(done) + 1) / (sum(done) + sum(to_come) + 1)
        return done.count(False) / (done.count(False) + to_come.count(False)) <= personal

    def _kill_celery(self, kind: str) -> None:
        name = kind.removesuffix("-child")
        pid = self.world.stack.pid(name)
        if kind == name:
            self.world.stack.kill(name)
        elif pid is not None and (children := psutil.Process(pid).children()):
            os.kill(self.draw.choice(children).pid, signal.SIGKILL)

    def _record(self, kind: str, at: float, struck: dict[str, Stage]) -> None:
        number = len(self.kills)
        self.kills.append({"kind": kind, "at": at, "load": round(os.getloadavg()[0], 1)})
        for worker, stage in struck.items():
            self._strikes.setdefault(worker, []).append(Strike(kill=number, kind=kind, at=at, stage=stage))

    def _judge_ended(self, found: list[dict[str, Any]]) -> None:
        judged = {worker["worker"] for worker in self.workers}
        for row in found:
            if row["status"] in FINAL and row["worker"] not in judged:
                self.workers.append(self._judge(row))
                for problem in self.workers[-1]["problems"]:
                    self.say(f"  WRONG {row['worker']}: {problem}")
                if row["worker"] in self._fates:
                    self.plan.append(self._fates.pop(row["worker"])[0])  # it was not struck in time

    def _judge(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a worker's row with what is wrong about its end."""
        strikes = self._strikes.get(row["worker"], [])
        cause = judge.killer_of(strikes, row["status"])
        moment = None if cause is None else cause.at
        found = {
            **row,
            "strikes": [asdict(strike) for strike in strikes],
            "cause": None if cause is None else cause.kill,
            "end_seconds": None if moment is None else round(row["finished"] - moment, 1),
            "problems": judge.problems_of_end(strikes, row),
        }
        # The last moment: it may have begun to edit since it was looked at.
        hunted = self._hunted.get(row["worker"]) or self._scout.take(row["branch"])
        if hunted is None:
            return found
        self._hunted[row["worker"]] = hunted
        stored = self._surveyor.look(row["worker"])
        lost = judge.losses(
            written=hunted.notes(),
            kept=prey.times(stored["notes"]),
            made=hunted.commits(),
            stored=stored["commits"],
            died=moment or 0.0,
        )
        found["problems"] += judge.problems_of_losses(lost, row)
        return {**found, **lost, "lines_at_kill": hunted.lines_at_kill}

    def _tell(self) -> None:
        if time.monotonic() < self._next_words:
            return
        self._next_words = time.monotonic() + _PROGRESS_SECONDS
        wrong = sum(bool(worker["problems"]) for worker in self.workers)
        most = max((worker.get("lost_seconds", 0.0) for worker in self.workers), default=0.0)
        longest = max((worker["end_seconds"] or 0.0 for worker in self.workers), default=0.0)
        kills = f"{len(self.kills)} kills done, {len(self.plan) + len(self._fates)} to come"
        ends = f"{len(self.workers)} workers ended, {wrong} wrongly, the latest after {longest} s"
        load = f"load {os.getloadavg()[0]:.1f}"
        self.say(f"  {time.strftime('%H:%M:%S')} {kills}; {ends}; most lost {most} s; {load}")
