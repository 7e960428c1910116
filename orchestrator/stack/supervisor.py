"""Keeps a set of child processes running: starts, watches, restarts and stops them.

Every child leads a session of its own and its identity is on disk, so a stack whose supervisor was killed
can be stopped or adopted by the next one. Whatever a child leaves in its process group ends with it.
"""

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM
from urllib.parse import urlsplit

import psutil

from orchestrator.embedded.places import private_dir, write_private
from orchestrator.embedded.processes import Identity, kill_group, read_json, reap, spawn, wait_gone
from orchestrator.stack.ports import HeldPort
from orchestrator.stack.table import LISTEN_VARIABLE, ChildSpec

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.05
FIRST_RESTART_SECONDS = 0.2
LAST_RESTART_SECONDS = 10.0
# A child that ran this long is taken as healthy: its next death restarts it at once again.
HEALTHY_SECONDS = 30.0
TOKEN_VARIABLE = "STACK_TOKEN"


class _Child:
    """What the supervisor remembers about one process of the table."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.identity: Identity | None = None
        self.ready_as: Identity | None = None
        self.started_at = 0.0
        self.restart_at: float | None = None
        self.backoff_seconds = FIRST_RESTART_SECONDS

    def plan_restart(self) -> None:
        if time.monotonic() - self.started_at > HEALTHY_SECONDS:
            self.backoff_seconds = FIRST_RESTART_SECONDS
        self.restart_at = time.monotonic() + self.backoff_seconds
        self.backoff_seconds = min(2 * self.backoff_seconds, LAST_RESTART_SECONDS)


class Supervisor:
    """The children of one stack."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        run_dir: Path,
        env: Mapping[str, str],
        cwd: Path,
        web_port: HeldPort,
    ) -> None:
        """Describe the children; none is started.

        Args:
            specs: the process table.
            run_dir: where pids, ready files and logs go.
            env: environment of every child, with the stack's ``STACK_TOKEN``.
            cwd: working directory of every child.
            web_port: where the child listens that serves the web; held at the latest when it starts.

        """
        self._children = {spec.name: _Child(spec) for spec in specs}
        self._state_file = run_dir / "children.json"
        self._ready_dir = private_dir(run_dir / "ready")
        self._logs = private_dir(run_dir / "logs")
        self._env = dict(env)
        self._cwd = cwd
        self._web_port = web_port
        self._guard = threading.RLock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, *, adopt: bool = False) -> None:
        """Start every child at once and begin to watch them.

        Args:
            adopt: keep those that an earlier supervisor left running.

        """
        recorded = read_identities(self._state_file) if adopt else {}
        with self._guard:
            for child in self._children.values():
                left = recorded.get(child.spec.name)
                if left is not None and left.is_alive():
                    child.identity, child.started_at = left, time.monotonic()
                else:
                    self._spawn(child)
        self._watcher = threading.Thread(target=self._watch, name="stack-supervisor", daemon=True)
        self._watcher.start()

    def _spawn(self, child: _Child) -> None:
        spec = child.spec
        (self._ready_dir / spec.name).unlink(missing_ok=True)
        inherited = {
            name: value for name, value in self._env.items() if spec.inherits is None or name in spec.inherits
        }
        env = {**inherited, **spec.env, "STACK_NAME": spec.name}
        handed = (self._web_port.hold(),) if spec.serves_web else ()
        if handed:
            env[LISTEN_VARIABLE] = str(handed[0])
        log = self._logs / f"{spec.name}.log"
        child.identity = spawn(spec.argv, log=log, env=env, cwd=self._cwd, handed=handed)
        child.started_at, child.restart_at = time.monotonic(), None
        self._record()

    def _record(self) -> None:
        known = {name: child.identity.as_json() for name, child in self._children.items() if child.identity}
        write_private(self._state_file, json.dumps(known, indent=1, sort_keys=True))

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            for child in self._children.values():
                try:
                    with self._guard:
                        self._attend(child)
                except OSError:
                    logger.exception("could not start %s", child.spec.name)
                    child.plan_restart()

    def _attend(self, child: _Child) -> None:
        if self._stopping.is_set():
            return
        if child.restart_at is not None:
            if time.monotonic() >= child.restart_at:
                self._spawn(child)
            return
        if child.identity is None:
            return
        code = reap(child.identity.pid)
        if not child.identity.is_alive():
            kill_group(child.identity)
            child.plan_restart()
            logger.warning("%s ended (exit code %s), starting it again", child.spec.name, code)

    def pid(self, name: str) -> int | None:
        """Return the pid of a running child, None while it does not run."""
        identity = self._children[name].identity
        return identity.pid if identity is not None and identity.is_alive() else None

    def kill(self, name: str) -> None:
        """SIGKILL the main process of one child, as a crash would; it is started again."""
        identity = self._children[name].identity
        if identity is not None:
            identity.send(SIGKILL)

    def unready(self) -> list[str]:
        """Return the names of the children that did not yet say since their start that they are ready."""
        return [name for name, child in self._children.items() if not self._is_ready(child)]

    def _is_ready(self, child: _Child) -> bool:
        spec = child.spec
        identity = child.identity
        if identity is None or not identity.is_alive():
            return False
        if child.ready_as != identity and self._says_ready(spec, identity):
            child.ready_as = identity
        return child.ready_as == identity

    def _says_ready(self, spec: ChildSpec, identity: Identity) -> bool:
        if spec.ready_file:
            return (self._ready_dir / spec.name).exists()
        if spec.ready_socket is not None:
            return _is_listening_at(spec.ready_socket)
        if not spec.ready_url:
            return True
        # Another stack that started at the same moment may have been faster at this port.
        return _listens(identity.pid, spec.ready_url) and _answers(spec.ready_url)

    def release(self) -> None:
        """Stop watching and leave the children running, for another supervisor to adopt."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()

    def stop_some(self, names: Collection[str]) -> None:
        """Stop some children for good; the others are no longer watched."""
        self.release()
        with self._guard:
            chosen = [child for name, child in self._children.items() if name in names and child.identity]
            running = {child.spec.name: child.identity for child in chosen if child.identity}
            stop_children([child.spec for child in chosen], running)

    def stop(self) -> None:
        """Stop every child, stage by stage, and whatever they left behind."""
        self.release()
        with self._guard:
            running = {name: child.identity for name, child in self._children.items() if child.identity}
            stop_children([child.spec for child in self._children.values()], running)
            sweep(self._env.get(TOKEN_VARIABLE, ""))
            self._state_file.unlink(missing_ok=True)


def _listens(pid: int, url: str) -> bool:
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    port = urlsplit(url).port
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


def _is_listening_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    # Not urllib: a proxy from the environment has nothing to say about loopback.
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


def read_identities(state_file: Path) -> dict[str, Identity]:
    """Read which children a supervisor recorded."""
    entries = {name: Identity.from_json(value) for name, value in read_json(state_file).items()}
    return {name: identity for name, identity in entries.items() if identity is not None}


def stop_children(specs: Sequence[ChildSpec], running: Mapping[str, Identity]) -> None:
    """Stop children stage by stage: SIGTERM, their time to finish, SIGKILL for the rest of their groups."""
    for stage in sorted({spec.stop_stage for spec in specs}):
        members = [spec for spec in specs if spec.stop_stage == stage and spec.name in running]
        for spec in members:
            running[spec.name].send(SIGTERM)
        deadline = time.monotonic()
        for spec in members:
            left = deadline + spec.stop_seconds - time.monotonic()
            if not wait_gone(running[spec.name], seconds=max(0.0, left)):
                logger.warning("%s did not stop within %s s", spec.name, spec.stop_seconds)
            end_group(running[spec.name])


def end_group(identity: Identity) -> None:
    """SIGKILL a process and everything left in its group, and wait until it is gone."""
    identity.send(SIGKILL)
    kill_group(identity)
    wait_gone(identity, seconds=5)


def sweep(token: str) -> None:
    """SIGKILL every process that carries the stack's token in its environment, wherever it went."""
    if not token:
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(TOKEN_VARIABLE) == token:
                process.kill()
                process.wait(timeout=5)
