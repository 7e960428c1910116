"""One stack: the embedded servers, the database brought up to date, and the supervised processes."""

import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM

from orchestrator.embedded import Embedded, ServerFailed
from orchestrator.embedded.launcher import URL_NAMES
from orchestrator.embedded.places import private_dir
from orchestrator.embedded.processes import log_tail, spawn
from orchestrator.envfile import find_var_dir, read_env_file
from orchestrator.installation import entrance_socket, flower_socket
from orchestrator.stack.ports import HeldPort, hold_web
from orchestrator.stack.prepare import check_settings, prepare_database, prepare_socket, stop_units
from orchestrator.stack.runtime import choose_runtime, dissolve, part_with_workers, read_runtime
from orchestrator.stack.state import StackFailed, StackState
from orchestrator.stack.supervisor import TOKEN_VARIABLE, Supervisor, end_group, stop_children, sweep
from orchestrator.stack.table import DISPATCHERS, FLOWER, ChildSpec, Ports, asked_for, default_table, edge

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
WATCH_SECONDS = 0.1
READY_POLL_SECONDS = 0.1
SUPERVISOR_STOP_SECONDS = 120.0
HAND_OVER_SECONDS = 15.0

Table = Callable[[Ports], Sequence[ChildSpec]]


class Stack:
    """One stack below one state directory. Start it, use it, then stop it or hand it over."""

    def __init__(
        self,
        var_dir: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        *,
        without: Collection[str] = (),
        table: Table | None = None,
        web_port: int | None = None,
        keep_homes: bool = True,
    ) -> None:
        """Describe a stack; nothing is started.

        Args:
            var_dir: state directory, by default ``VAR_DIR``, else ``var`` beside ``manage.py``.
            env: environment of every process, by default ours.
            without: names of processes that shall not run, such as ``flower``.
            table: another process table than the system's own; then no database is prepared.
            web_port: port of the web, by default the one it had before, else the first free from 8000.
            keep_homes: whether the homes of Product Owners, which are data, stay after a stop.

        """
        self._given_env = dict(os.environ if env is None else env)
        self._dotenv = read_env_file(ROOT / ".env")
        configured = self._dotenv | {key: value for key, value in self._given_env.items() if value}
        self._names = [name for name, variable in URL_NAMES.items() if not configured.get(variable)]
        self.embedded = Embedded(var_dir or find_var_dir(self._given_env, ROOT), names=self._names)
        self.var_dir = self.embedded.var_dir
        self._without = frozenset(without)
        self._table = table
        self._keep_homes = keep_homes
        self._state = StackState(self.var_dir / "run")
        self._wanted_web_port = web_port
        self._supervisor: Supervisor | None = None
        self._stopping = threading.Event()
        self._keepers: list[threading.Thread] = []
        self.ports = self._state.read().ports
        self._web_port = HeldPort(self.ports.web)
        self.runtime = read_runtime(self.var_dir)
        self.admin_notice = ""

    @property
    def web_url(self) -> str:
        """Address of the web."""
        return f"http://127.0.0.1:{self.ports.web}"

    @property
    def flower_url(self) -> str:
        """Address of Flower, behind the web's sign-in; empty if it does not run."""
        return "" if FLOWER in self._without else f"{self.web_url}/flower/"

    def start(self, *, adopt: bool = False) -> None:
        """Start the servers, bring the database up to date, start every process. Does not wait for them.

        Args:
            adopt: take over the processes of a stack that was handed over, instead of replacing them.

        Raises:
            StackFailed: another supervisor runs.
            ServerFailed, CommandFailed: a setting is wrong, or a server or the database was not made ready.

        """
        self._state.lock()
        earlier = self._state.read()
        if not adopt:
            self._stop_leftovers()
            self._hold_ports(earlier.ports)
        private_dir(self.var_dir / "static")
        check_settings(self.child_env(), var_dir=self.var_dir, root=ROOT)
        if self._table is None and not (adopt and self.runtime):
            self.runtime = None  # what was chosen last time is not handed to this choice
            self.runtime = choose_runtime(self.child_env(), var_dir=self.var_dir, root=ROOT)
            logger.info("%s", self.runtime.notice)
        self.embedded.start()
        env = self.child_env()
        if self._table is None:
            is_ours = "postgres" in self._names
            self.admin_notice = prepare_database(env, var_dir=self.var_dir, root=ROOT, remember=is_ours)
        token = earlier.token if adopt else secrets.token_hex(16)
        # Recorded before the first process exists: whoever cleans up after us finds them all by the token.
        self._state.write(token=token, ports=self.ports)
        self._supervisor = Supervisor(
            self._specs(),
            run_dir=self._state.run_dir,
            env={**env, TOKEN_VARIABLE: token},
            cwd=ROOT,
            web_port=self._web_port,
        )
        self._supervisor.start(adopt=adopt)
        self._keep_servers()

    def _hold_ports(self, earlier: Ports) -> None:
        try:
            if self._wanted_web_port is None:
                self._web_port = hold_web(earlier.web)
            else:
                self._web_port = HeldPort(self._wanted_web_port)
                self._web_port.hold()
        except OSError as error:
            raise StackFailed(f"the web cannot listen at {self._web_port.port}: {error.strerror}") from error
        self.ports = Ports(web=self._web_port.port)

    def _specs(self) -> list[ChildSpec]:
        if self._table is not None:
            specs = self._table(self.ports)
        else:
            configured = self.settings()
            specs = default_table(self.ports, flower_socket=prepare_socket(flower_socket(self.var_dir)))
            if self.runtime is not None and self.runtime.has_containers:
                url = configured.get("CHANNEL_REDIS_URL", "")
                specs = (*specs, edge(installation=self.runtime.installation, channel_url=url))
            prepare_socket(entrance_socket(self.var_dir))
            specs = (*specs, *asked_for(configured))
        return [spec for spec in specs if spec.name not in self._without]

    def child_env(self) -> dict[str, str]:
        """Return the environment of a process that belongs to this stack, ``manage.py`` for example."""
        generated = self.embedded.env() | {"WORKERS_API_URL": self.web_url}
        missing = {key: value for key, value in generated.items() if key not in self._dotenv}
        chosen = {} if self.runtime is None else self.runtime.settings()
        return {**missing, **self._given_env, **chosen, "VAR_DIR": str(self.var_dir), "PYTHONUNBUFFERED": "1"}

    def settings(self) -> dict[str, str]:
        """Return the settings of its processes, those of ``.env`` included."""
        return self._dotenv | self.child_env()

    def _keep_servers(self) -> None:
        for name in self._names:
            keeper = threading.Thread(target=self._keep_server, args=(name,), name=name, daemon=True)
            keeper.start()
            self._keepers.append(keeper)

    def _keep_server(self, name: str) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            if self.embedded.is_alive(name):
                continue
            logger.warning("%s ended, starting it again", name)
            try:
                self.embedded.ensure(name)
            except (ServerFailed, OSError):
                logger.exception("%s could not be started", name)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until every process says that it is ready.

        Args:
            timeout: seconds.

        Raises:
            StackFailed: some are not; the message names them and ends with the first one's log.

        """
        deadline = time.monotonic() + timeout
        while unready := self._running().unready():
            if time.monotonic() > deadline:
                tail = log_tail(self._state.run_dir / "logs" / f"{unready[0]}.log")
                raise StackFailed(f"not ready after {timeout:.0f} s: {', '.join(unready)}\n{tail}")
            time.sleep(READY_POLL_SECONDS)

    def pid(self, name: str) -> int | None:
        """Return the pid of a process or an embedded server, None while it does not run."""
        return self.embedded.pid(name) if name in self._names else self._running().pid(name)

    def kill(self, name: str) -> None:
        """SIGKILL a process or an embedded server, as a crash would; it is started again at once."""
        if name in self._names:
            self.embedded.kill(name)
        else:
            self._running().kill(name)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise StackFailed("the stack was not started here")
        return self._supervisor

    def stop(self) -> None:
        """Stop every process, every unit and every embedded server; nothing if this is not the supervisor."""
        if not self._state.is_locked:
            return
        if self._supervisor is not None:
            self._let_workers_end(self._supervisor.stop_some)
            self._supervisor.stop()
        self._end_keepers()
        try:
            if self._table is None:
                stop_units(self.child_env(), var_dir=self.var_dir, root=ROOT)
                dissolve(self.child_env(), var_dir=self.var_dir, root=ROOT, keep_homes=self._keep_homes)
        finally:
            self.embedded.stop()
            self._web_port.close()
            self._state.unlock()

    def _let_workers_end(self, stop: Callable[[Collection[str]], None]) -> None:
        if self._table is None:
            stop(DISPATCHERS)  # nobody starts others, and the web still takes what they hand in
            part_with_workers(self.child_env(), var_dir=self.var_dir, root=ROOT)

    def _end_keepers(self) -> None:
        self._stopping.set()
        for keeper in self._keepers:
            keeper.join()

    def hand_over(self) -> None:
        """Leave the stack running under a detached supervisor of its own; ``down`` stops it.

        Raises:
            StackFailed: that supervisor did not take over.

        """
        self._running().release()
        self._end_keepers()
        # The web listens on; the successor holds the port again if it has to start another one.
        self._web_port.close()
        self._state.unlock()
        argv = [sys.executable, "-m", "orchestrator.stack", "up", "--adopt"]
        for name in sorted(self._without):
            argv += ["--without", name]
        log = self._state.run_dir / "logs" / "stack.log"
        env = {**self._given_env, "VAR_DIR": str(self.var_dir)}
        successor = spawn(argv, log=log, env=env, cwd=ROOT)
        deadline = time.monotonic() + HAND_OVER_SECONDS
        while self._state.read().supervisor != successor:
            if time.monotonic() > deadline or not successor.is_alive():
                raise StackFailed(f"nobody took the stack over:\n{log_tail(log)}")
            time.sleep(0.05)

    def down(self) -> None:
        """Stop the stack of another process, whether its supervisor still runs or was killed.

        Raises:
            StackFailed: somebody else started it again meanwhile.
            ServerFailed: an embedded server survived.

        """
        supervisor = self._state.read().supervisor
        if supervisor is not None and supervisor.pid != os.getpid() and supervisor.send(SIGTERM):
            deadline = time.monotonic() + SUPERVISOR_STOP_SECONDS
            while supervisor.is_alive() and time.monotonic() < deadline:
                time.sleep(0.05)
            end_group(supervisor)
        self._state.lock()
        if self._state.children():
            self._let_workers_end(self._stop_children)
        self._stop_leftovers()
        self.stop()

    def _stop_children(self, names: Collection[str]) -> None:
        left = {name: one for name, one in self._state.children().items() if name in names}
        known = {spec.name: spec for spec in self._specs()}
        stop_children([known.get(name, ChildSpec(name=name, argv=())) for name in left], left)

    def _stop_leftovers(self) -> None:
        self._stop_children(self._state.children())
        sweep(self._state.read().token)
        self._state.children_file.unlink(missing_ok=True)

    def status(self) -> dict[str, int | None]:
        """Return name → pid (None: not running) of the servers and of every recorded process."""
        children = {name: one.pid if one.is_alive() else None for name, one in self._state.children().items()}
        return {name: self.embedded.pid(name) for name in self._names} | children
