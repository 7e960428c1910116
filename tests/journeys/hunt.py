"""Kills workers at random moments, many at once, and judges each end by what the worker really did."""

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg
import redis

from tests.journeys import prey as preys
from tests.journeys.prey import Prey
from tests.journeys.surveyor import Surveyor
from tests.journeys.world import World
from tests.own_daemon import OwnDaemon

SENTENCE = "an inventory of books with title, author and year"
#: What strikes one container, and what strikes the whole system.
PERSONAL = ("container", "oom")
CELERY = ("flow", "flow-child", "ingest")
#: The typed reasons with which a worker may end that a kind of kill has struck; a dying daemon may let it
#: say goodbye, and may forget it.
REASONS = {
    "container": {"worker_exited"},
    "oom": {"out_of_memory"},
    "daemon": {"worker_exited", "worker_stopped", "container_lost", "spawn_timeout"},
}
MAX_ATTEMPTS = 3
MAX_LOST_SECONDS = 30.0
#: Before the end nobody is struck any more, so that what was begun can end.
_LAST_WORK_SECONDS = 180.0
#: A commit of the last moment may have been in the making.
_IN_FLIGHT_SECONDS = 1
_WITNESS = """
CREATE TABLE chaos_witness (worker uuid, what text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION chaos_witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.status <> OLD.status AND NEW.status IN ('succeeded', 'failed', 'crashed', 'canceled') THEN
        INSERT INTO chaos_witness (worker, what) VALUES (NEW.id, 'final');
    END IF;
    IF NEW.removed_at IS DISTINCT FROM OLD.removed_at THEN
        INSERT INTO chaos_witness (worker, what) VALUES (NEW.id, 'removed');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER chaos_witness AFTER UPDATE ON workers_worker FOR EACH ROW EXECUTE FUNCTION chaos_witness();
"""
_WORKERS = """
SELECT id::text, task_id::text, status, failure->>'code', exit_code, oom_killed,
       extract(epoch FROM work_lost_since)::float, extract(epoch FROM finished_at)::float
FROM workers_worker ORDER BY created_at"""
_FINAL = ("succeeded", "failed", "crashed", "canceled")


@dataclass
class Hunt:
    """One series of kills on one system."""

    world: World
    daemon: OwnDaemon
    plan: list[str]
    """The kinds of the kills to come; the order is kept among those that strike one container, and among
    those that strike all."""
    draw: random.Random
    edit_seconds: int
    tasks_at_once: int
    share: float
    """Of the workers, that are struck; the others are left in peace."""
    kills: list[dict[str, Any]] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Every worker there was, with how it ended."""
    tasks: list[str] = field(default_factory=list)
    hunted: dict[str, Prey] = field(default_factory=dict)
    _fates: dict[str, tuple[str, float]] = field(default_factory=dict)
    _next_common: float = 0.0
    _restarts: list[float] = field(default_factory=list)

    def run(self, *, seconds: float) -> None:
        """Kill everything on the plan, and wait until all that was begun has ended."""
        with psycopg.connect(self.world.database_url, autocommit=True) as connection:
            connection.execute(_WITNESS)
        self._client = self.daemon.client()
        self._surveyor = Surveyor(self.world.stack)
        self._until = time.monotonic() + seconds
        try:
            while self.plan or self._unfinished():
                late = f"{len(self.plan)} kills to come, unfinished: {self._unfinished()}"
                assert time.monotonic() < self._until, f"{late}\n{self.world.logs()}"
                if time.monotonic() > self._until - _LAST_WORK_SECONDS:
                    self.plan.clear()
                    self._fates.clear()
                self._step()
            self._judge_ended()
        finally:
            self._surveyor.close()
            self._client.close()
            for prey in self.hunted.values():
                prey.close()

    def _step(self) -> None:
        rows = self._rows()
        unfinished = self._unfinished()
        if self.plan and len(unfinished) < self.tasks_at_once:
            task = self.world.begin(f"{SENTENCE}\nrehearsal: edits:{self.edit_seconds}", deploy=False)
            self.tasks.append(task["id"])
        for row in rows:
            if row["worker"] not in self.hunted and row["status"] == "running":
                self._watch(row)
        living = {row["worker"] for row in rows if row["status"] not in _FINAL}
        alive = [worker for worker in self.hunted if worker in living]
        for worker in alive:
            kind, at = self._fates.get(worker, ("", 0.0))
            if kind and time.time() >= at:
                self._strike(self.hunted[worker], kind)
                del self._fates[worker]
        self._strike_all(alive)
        self._judge_ended()
        time.sleep(0.1)

    def _watch(self, row: dict[str, Any]) -> None:
        found = preys.find(self._client, row["worker"], row["task"])
        if found is None:
            return
        self.hunted[found.worker_id] = found
        kind = next((kind for kind in self.plan if kind in PERSONAL), "")
        if kind and self.draw.random() < self.share:
            self.plan.remove(kind)
            moment = self.draw.uniform(0.3, self.edit_seconds * 0.95)
            self._fates[found.worker_id] = (kind, found.seen_at + moment)

    def _strike(self, prey: Prey, kind: str) -> None:
        strike = preys.kill_container if kind == "container" else preys.exhaust_memory
        at = time.time()
        if not strike(self._client, prey):
            self.plan.append(kind)  # it was dead already; the kill is still owed
            return
        prey.kinds.append(kind)
        prey.killed_at = prey.killed_at or at
        self.kills.append({"kind": kind, "worker": prey.worker_id, "moment": round(at - prey.seen_at, 2)})

    def _strike_all(self, alive: list[str]) -> None:
        kind = next((kind for kind in self.plan if kind not in PERSONAL), "")
        if not kind or not alive or not self._is_turn_of_all():
            return
        if not self._next_common:
            self._next_common = time.time() + self.draw.uniform(0.5, 6.0)
        if time.time() < self._next_common:
            return
        self._next_common = 0.0
        self.plan.remove(kind)
        if kind == "daemon":
            self._restart_daemon(alive)
        else:
            self._kill_celery(kind)
            self.kills.append({"kind": kind, "worker": "", "moment": 0.0, "alive": len(alive)})

    def _is_turn_of_all(self) -> bool:
        """Keep to the plan's proportion: what strikes all is quicker, and would leave the rest no time."""
        done = [kill["kind"] in PERSONAL for kill in self.kills]
        to_come = [kind in PERSONAL for kind in self.plan] + [True] * len(self._fates)
        personal = (sum(done) + 1) / (sum(done) + sum(to_come) + 1)
        return done.count(False) / (done.count(False) + to_come.count(False)) <= personal

    def _restart_daemon(self, alive: list[str]) -> None:
        gently = self.draw.random() < 0.5
        for worker in alive:
            self.hunted[worker].kinds.append("daemon")
            self.hunted[worker].killed_at = self.hunted[worker].killed_at or time.time()
        at = time.time()
        self._restarts.append(at)
        self.daemon.restart(gently=gently)
        how = "SIGTERM" if gently else "SIGKILL"
        self.kills.append(
            {"kind": "daemon", "worker": "", "moment": 0.0, "alive": len(alive), "how": how, "at": at}
        )

    def _kill_celery(self, kind: str) -> None:
        name = kind.removesuffix("-child")
        pid = self.world.stack.pid(name)
        if kind == name:
            self.world.stack.kill(name)
        elif pid is not None and (children := psutil.Process(pid).children()):
            os.kill(self.draw.choice(children).pid, signal.SIGKILL)

    def _judge_ended(self) -> None:
        judged = {worker["worker"] for worker in self.workers}
        for row in self._rows():
            if row["status"] in _FINAL and row["worker"] not in judged:
                self.workers.append(self._judge(row))
                if row["worker"] in self._fates:
                    self.plan.append(self._fates.pop(row["worker"])[0])  # it was not struck in time

    def _judge(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a worker's row with what is wrong about its end."""
        prey = self.hunted.get(row["worker"])
        kinds = prey.kinds if prey else []
        problems = []
        if row["status"] in ("crashed", "failed"):
            allowed = set().union(*(REASONS[kind] for kind in kinds))
            if self._restarts and not kinds:
                allowed = REASONS["daemon"]  # it was about to begin, or had just ended its work
            if row["code"] not in allowed:
                problems.append(f"ended as {row['code']} after {kinds or 'no kill'}")
        elif row["status"] == "canceled" and self._restarts:
            pass  # it said goodbye to a daemon that stopped it, so its run let it go
        elif row["status"] != "succeeded":
            problems.append(f"is {row['status']} ({row['code']})")
        if kinds[:1] == ["container"] and row["status"] == "crashed" and row["exit_code"] != 137:
            problems.append(f"exit code {row['exit_code']} after SIGKILL")
        found = {**row, "kinds": kinds, "problems": problems}
        if prey is not None and row["status"] != "succeeded":
            found |= self._losses(prey, row, problems)
        return found

    def _losses(self, prey: Prey, row: dict[str, Any], problems: list[str]) -> dict[str, Any]:
        stored = self._surveyor.look(prey.worker_id)
        written, kept = prey.notes(), preys.times(stored["notes"])
        lost = written[len(kept) :]
        last_kept = kept[-1] if kept else written[0]
        seconds = written[-1] - last_kept if lost else 0.0
        commits = [sha for sha, at in prey.commits() if sha not in stored["commits"]]
        latest = max((at for _, at in prey.commits()), default=0)
        in_flight = len(commits) == 1 and written[-1] - latest <= _IN_FLIGHT_SECONDS
        if kept != written[: len(kept)]:
            problems.append("the stored notes are not those that were written")
        if seconds > MAX_LOST_SECONDS:
            problems.append(f"lost {seconds:.1f} s of edits")
        if commits:
            problems.append(f"lost commits {commits}{' (the last in flight)' if in_flight else ''}")
        if lost and (row["lost_since"] is None or row["lost_since"] > lost[0] + 0.1):
            problems.append("the row does not say that edits were lost")
        made = len(prey.commits())
        return {"lost_seconds": round(seconds, 1), "commits": made, "lost_commits": len(commits)}

    def _rows(self) -> list[dict[str, Any]]:
        names = ("worker", "task", "status", "code", "exit_code", "oom_killed", "lost_since", "finished")
        return [dict(zip(names, row, strict=True)) for row in self.world.rows(_WORKERS)]

    def _unfinished(self) -> list[str]:
        query = "SELECT id::text FROM projects_task WHERE status <> ALL(%s)"
        return [task for (task,) in self.world.rows(query, list(_FINAL))]

    def repeated(self) -> list[tuple[Any, ...]]:
        """Return the workers that ended or were removed more or less often than once."""
        query = """
            SELECT * FROM (
                SELECT w.id::text, w.status, count(*) FILTER (WHERE what = 'final') AS ends,
                       count(*) FILTER (WHERE what = 'removed') AS removals
                FROM workers_worker w LEFT JOIN chaos_witness c ON c.worker = w.id
                GROUP BY w.id, w.status) counted
            WHERE ends <> 1 OR removals <> 1"""
        return self.world.rows(query)

    def task_ends(self) -> list[dict[str, Any]]:
        """Return each task's status and failure, and how many of its workers were lost."""
        query = "SELECT id::text, status, failure FROM projects_task ORDER BY created_at"
        lost = [worker["task"] for worker in self.workers if worker["status"] != "succeeded"]
        return [
            {"task": task, "status": status, "failure": failure, "lost": lost.count(task)}
            for task, status, failure in self.world.rows(query)
        ]

    def left_behind(self) -> dict[str, list[str]]:
        """Return what is still there of workers that have all ended."""
        assert self.world.stack.runtime is not None
        label = {"label": [f"codegen.installation={self.world.stack.runtime.installation}"]}
        docker = self.daemon.client()
        channel = redis.Redis.from_url(
            self.world.stack.child_env()["CHANNEL_REDIS_URL"], decode_responses=True
        )
        try:
            return {
                "containers": [str(one.name) for one in docker.containers.list(all=True, filters=label)],
                "volumes": [str(one.name) for one in docker.volumes.list()],
                "users": [name for name in channel.acl_users() if name.startswith("worker-")],
                "streams": [key for key in channel.scan_iter("worker:*") if key != "worker:wakeup"],
            }
        finally:
            docker.close()
            channel.close()

    def matrix(self) -> list[dict[str, Any]]:
        """Return one row for each kill, with the end of the worker that it struck."""
        ends = {worker["worker"]: worker for worker in self.workers}
        return [json.loads(json.dumps({**ends.get(kill["worker"], {}), **kill})) for kill in self.kills]
