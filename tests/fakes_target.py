"""A deploy target in memory for tests, which polices the order of calls.

It understands a few commands: ``true``, ``exit N``, ``sleep N``, ``serve`` and
``serve STATUS`` (a real listener on the job's PORT, so that a smoke test finds
somebody). Tests play the machine: ``finish``, ``lose``, ``vanish``, ``is_down``,
``dies_at``. What the port forbids fails the test that did it.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import connection

from apps.infra.targets.base import Job, JobPhase, JobState, Release, TargetUnavailable
from apps.infra.targets.entrance import Door
from orchestrator.edge.doors import Doors
from orchestrator.edge.routes import ROUTES


class FakeEntrance:
    """The ``Entrance`` in this process: real doors, led by what the test's own transaction holds.

    Attributes:
        is_down: nobody can tell.
        is_stuck: it no longer looks.
    """

    def __init__(self) -> None:
        self.is_down = self.is_stuck = False
        self._doors = Doors()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, port: int) -> Door:
        if self.is_down:
            raise TargetUnavailable("the entrance is down")
        if not self.is_stuck:
            self.look()
        told = self._doors.report().get(str(port))
        return Door(**told) if told else Door(leads_to=None)

    def look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(ROUTES)
            routes = dict(cursor.fetchall())
        self._do(self._doors.follow(routes))

    def forget(self) -> None:
        """It dies, and comes back knowing nothing."""
        self._do(self._doors.close())

    def close(self) -> None:
        self.forget()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)


class ForbiddenCall(AssertionError):
    """The port's docstring rules this call out."""


class Killed(BaseException):
    """``kill -9`` of the process that makes the call: nothing of ours runs after it."""


@dataclass
class _FakeJob:
    job: Job
    state: JobState
    log: str = ""
    listener: "_Listener | None" = None


class _Listener:
    """Answers every request with one status until it is closed."""

    def __init__(self, port: int, status: int, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class FakeTarget:
    """The ``DeployTarget`` in memory.

    Attributes:
        is_down: every verb answers TargetUnavailable and does nothing.
        fails_after: verbs that do their work and then answer TargetUnavailable once.
        dies_at: number of the changing call (begin, end, discard) around which the caller
            is killed; even numbers before its effect, odd ones after it.
        unkillable: names whose ``end`` fails.
        body: what services answer.
        begun: names of the jobs that were really begun, in order.
        ended: names of the jobs that were ended, in order.
        files: names of the releases whose files exist.
    """

    is_down: bool = False
    fails_after: set[str] = field(default_factory=set)
    dies_at: int | None = None
    unkillable: set[str] = field(default_factory=set)
    body: bytes = b'{"status": "ok"}'
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._jobs: dict[str, _FakeJob] = {}
        self._changes = 0
        self._lock = threading.RLock()

    # The port.

    def begin(self, job: Job) -> None:
        with self._call("begin", changes=True):
            known = self._jobs.get(job.name)
            if known is not None:
                if known.job.command != job.command or known.job.release != job.release:
                    raise ForbiddenCall(f"{job.name} was begun with two different jobs; names are derived")
                return
            if job.bundle_name:
                self.files.discard(job.release.name)
            elif job.release.name not in self.files:
                raise ForbiddenCall(f"{job.name} was begun before its release was installed")
            self.files.add(job.release.name)
            self._jobs[job.name] = self._run(job)
            self.begun.append(job.name)

    def inspect(self, name: str) -> JobState | None:
        with self._call("inspect"):
            found = self._jobs.get(name)
            return None if found is None else found.state

    def logs(self, name: str, *, tail_bytes: int) -> str:
        with self._call("logs"):
            found = self._jobs.get(name)
            return found.log[-tail_bytes:] if found is not None else ""

    def end(self, name: str) -> None:
        with self._call("end", changes=True):
            if name in self.unkillable:
                raise TargetUnavailable(f"{name} cannot be killed")
            found = self._jobs.pop(name, None)
            if found is not None:
                self._close(found)
                self.ended.append(name)

    def discard(self, release: Release) -> None:
        with self._call("discard", changes=True):
            running = [
                found.job.name
                for found in self._jobs.values()
                if found.job.release == release and found.state.phase is JobPhase.RUNNING
            ]
            if running:
                raise ForbiddenCall(f"the files of {running} were deleted under it")
            self.files.discard(release.name)

    def is_port_free(self, port: int) -> bool:
        with self._call("is_port_free"), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    def list_jobs(self) -> dict[str, str]:
        with self._call("list_jobs"):
            return {name: found.job.deployment_id for name, found in self._jobs.items()}

    # The machine.

    @property
    def running(self) -> list[str]:
        """Names of the jobs that run now."""
        return [name for name, found in self._jobs.items() if found.state.phase is JobPhase.RUNNING]

    def environment_of(self, name: str) -> dict[str, str]:
        """What a job was given."""
        return dict(self._jobs[name].job.environment)

    def finish(self, name: str, code: int, *, log: str = "", lived: timedelta = timedelta(minutes=5)) -> None:
        """A job ends by itself."""
        self._stop(name, JobPhase.EXITED, code, log, lived)

    def lose(self, name: str) -> None:
        """A job is gone and nobody recorded how."""
        self._stop(name, JobPhase.LOST, None, "", timedelta(minutes=5))

    def vanish(self, name: str) -> None:
        """The place forgets a job."""
        self._close(self._jobs.pop(name))

    def close(self) -> None:
        """Close every listener."""
        for found in self._jobs.values():
            self._close(found)

    def _stop(self, name: str, phase: JobPhase, code: int | None, log: str, lived: timedelta) -> None:
        found = self._jobs[name]
        self._close(found)
        now = datetime.now(UTC)
        found.state = replace(
            found.state,
            phase=phase,
            exit_code=code,
            started_at=now - lived,
            finished_at=now if phase is JobPhase.EXITED else None,
        )
        found.log = log or found.log

    def _run(self, job: Job) -> _FakeJob:
        now = datetime.now(UTC)
        running = JobState(phase=JobPhase.RUNNING, exit_code=None, started_at=now, finished_at=None)
        verb, _, argument = job.command.partition(" ")
        code = {"true": 0, "exit": int(argument or 0)}.get(verb)
        listener = None
        if verb == "serve":
            try:
                listener = _Listener(int(job.environment["PORT"]), int(argument or 200), self.body)
            except OSError:
                code = 1
        if code is None:
            return _FakeJob(job, running, listener=listener)
        ended = replace(running, phase=JobPhase.EXITED, exit_code=code, finished_at=now)
        return _FakeJob(job, ended, log=f"{job.command} ended")

    @staticmethod
    def _close(found: _FakeJob) -> None:
        if found.listener is not None:
            found.listener.close()
            found.listener = None

    @contextmanager
    def _call(self, verb: str, *, changes: bool = False) -> Iterator[None]:
        with self._lock:
            if self.is_down:
                raise TargetUnavailable("the target is down")
            number, self._changes = self._changes, self._changes + changes
            dies = changes and self.dies_at is not None and number == self.dies_at // 2
            if dies and self.dies_at is not None and self.dies_at % 2 == 0:
                raise Killed
            yield
            if dies:
                raise Killed
            if verb in self.fails_after:
                self.fails_after.remove(verb)
                raise TargetUnavailable("the answer was lost")
