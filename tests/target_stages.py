"""Deploy targets for tests: the one in memory and the one of this machine, behind one face."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx

from apps import storage
from apps.infra.targets import base, on_server
from apps.infra.targets.local import LocalTarget
from apps.infra.targets.server import ServerTarget
from apps.infra.targets.ssh import SshAccess
from apps.units import layout, toolchain
from apps.units.environment import base_environment
from apps.units.supervisor import Units
from tests.fakes_target import FakeTarget
from tests.ssh_server import SshServer

SERVE = """\
import http.server, os, pathlib
data = pathlib.Path(os.environ["DATA_DIR"]) / "visits"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        visits = int(data.read_text()) + 1 if data.exists() else 1
        data.write_text(str(visits))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(visits).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Stage(Protocol):
    """A target, and the means to play the machine around it."""

    target: base.DeployTarget
    serve: str

    def lose(self, name: str) -> None: ...


class FakeStage:
    serve = "serve"

    def __init__(self) -> None:
        self.fake = FakeTarget()
        self.target: base.DeployTarget = self.fake

    def lose(self, name: str) -> None:
        self.fake.lose(name)


class LocalStage:
    serve = "python3 serve.py"

    def __init__(self, place: Path) -> None:
        self.units = Units(place / "units", cache=place / "cache")
        tools = toolchain.prepare(place / "bin")
        self.target: base.DeployTarget = LocalTarget(
            units=self.units,
            releases=place / "releases",
            data=place / "data",
            environment=base_environment(tools, outer={}),
        )

    def lose(self, name: str) -> None:
        state = self.target.inspect(name)
        assert state is not None
        if state.phase is base.JobPhase.RUNNING:
            self.units.stop_all(grace_seconds=1)
        directory = self.units.directory / name
        wait_for(lambda: (directory / layout.EXIT).exists())
        wait_for(lambda: not layout.is_locked(str(directory), layout.SHIM_LOCK))
        (directory / layout.EXIT).unlink()


class ServerStage:
    serve = "python3 serve.py"

    def __init__(self, server: SshServer, home: Path) -> None:
        self.server, self.home = server, home
        self.target: base.DeployTarget = ServerTarget(access_to(server))

    def lose(self, name: str) -> None:
        directory = self.home / ".codegen" / "jobs" / name
        wait_for(lambda: len(marked(directory)) > 1)
        for pid in marked(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not marked(directory))
        (directory / "exit.json").unlink(missing_ok=True)


def access_to(server: SshServer, **changes: str) -> SshAccess:
    facts = {"host": "127.0.0.1", "user": server.user, "host_key": server.host_key}
    return SshAccess(**{**facts, "private_key": server.identity, **changes}, port=server.port)


def marked(directory: Path) -> list[int]:
    """Return what runs of a job on the server that is this machine."""
    mark, found = f"{on_server.MARK}={directory}".encode(), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


class Source:
    """A release in the storage: a git bundle, and its commit."""

    def __init__(self, directory: Path) -> None:
        work, bundle = directory / "source", directory / "source.bundle"
        work.mkdir()
        (work / "serve.py").write_text(SERVE)
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "add", ".")
        git(work, "commit", "--quiet", "--message=first")
        self.sha = git(work, "rev-parse", "HEAD")
        git(work, "bundle", "create", "--quiet", str(bundle), "main")
        self.name = storage.workspace_name(project_id=uuid4(), sha=self.sha)
        self.sha256 = hashlib.sha256(bundle.read_bytes()).hexdigest()
        storage.save_bundle(bundle, name=self.name)


def git(directory: Path, *arguments: str) -> str:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *author, *arguments], cwd=directory, check=True, capture_output=True)
    return done.stdout.decode().strip()


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def ask(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).text


def answers(port: int) -> bool:
    try:
        ask(port)
    except httpx.HTTPError:
        return False
    return True
