"""What a stack keeps on disk: who supervises it, its ports, its token, and the lock of its supervisor."""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.embedded.places import private_dir, write_private
from orchestrator.embedded.processes import Identity, read_json
from orchestrator.stack.supervisor import read_identities
from orchestrator.stack.table import Ports

LOCK_SECONDS = 5.0


class StackFailed(RuntimeError):
    """The stack could not be started or stopped; the message says which part and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackRecord:
    """The content of ``run/stack.json``."""

    supervisor: Identity | None
    token: str
    """Every process of the stack carries it in its environment."""
    ports: Ports


class StackState:
    """The files of one stack under ``<state>/run``."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = private_dir(run_dir)
        self.children_file = run_dir / "children.json"
        self._file = run_dir / "stack.json"
        self._descriptor: int | None = None

    def read(self) -> StackRecord:
        """Return what is recorded; empty values if nothing is."""
        state = read_json(self._file)
        match state.get("ports"):
            case {"web": int(web)}:
                ports = Ports(web=web)
            case _:
                ports = Ports(web=0)
        supervisor = Identity.from_json(state.get("supervisor"))
        return StackRecord(supervisor=supervisor, token=str(state.get("token", "")), ports=ports)

    def write(self, *, token: str, ports: Ports) -> None:
        """Record this process as the supervisor."""
        me = Identity.of(os.getpid())
        state = {"supervisor": me.as_json() if me else None, "token": token, "ports": asdict(ports)}
        write_private(self._file, json.dumps(state, indent=1))

    def children(self) -> dict[str, Identity]:
        """Return the recorded processes, running or not."""
        return read_identities(self.children_file)

    @property
    def is_locked(self) -> bool:
        """Whether this process is the one that may supervise the stack."""
        return self._descriptor is not None

    def lock(self) -> None:
        """Become the only supervisor; the lock ends with this process.

        Raises:
            StackFailed: somebody else is.

        """
        descriptor = os.open(self.run_dir / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    url = f"http://127.0.0.1:{self.read().ports.web}"
                    raise StackFailed(f"the stack already runs at {url}; `make down` stops it") from error
                time.sleep(0.1)
            else:
                self._descriptor = descriptor
                return

    def unlock(self) -> None:
        """Let another process supervise."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
