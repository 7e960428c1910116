"""The HTTP server: accounts of one customer, servers, tasks that end when the test says so."""

import base64
import json
import re
import secrets
import socket
import threading
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from apps.infra.providers.time4vps import Time4Vps
from tests.http_double import DoubleHandler, DoubleServer
from tests.provider_server.faults import Fault

USERNAME, PASSWORD = "ops@example.com", "s3cret-of-the-account"
_SERVER: Final = re.compile(r"/api/server/(\d+)(?:/(.*))?")
_SYSTEMS: Final = [
    {"os": "kvm-debian-12-x86_64", "title": "Debian 12"},
    {"os": "kvm-ubuntu-24.04-gpt-x86_64", "title": "Ubuntu 24.04"},
]


@dataclass
class HeldTask:
    """Something that was asked for."""

    id: int
    name: str
    completed: str = ""
    results: str = ""

    def as_json(self) -> dict[str, Any]:
        moment = "2018-05-31T10:25:24+00:00"
        return {
            "name": self.name,
            "activated": moment,
            "assigned": moment if self.completed else "",
            "completed": self.completed,
            "results": self.results,
        }


@dataclass
class HeldServer:
    """A server of the account."""

    server_id: int
    ip: str | None = "203.0.113.10"
    label: str = "Data Server"
    os: str = "kvm-debian-12-x86_64"
    status: str = "Active"
    memory_mb: int = 2_048
    password: str = "first-password"
    public_key: str = ""
    tells_numbers: bool = False  # of the task that is under way; a guess either way
    tasks: list[HeldTask] = field(default_factory=list)

    def as_line(self) -> dict[str, Any]:
        return {
            "server_id": self.server_id,
            "domain": f"{self.server_id}.time4vps.cloud",
            "ip": self.ip,
            "date_created": "2017-01-31",
            "synch_date": "2017-01-31 15:35:00",
            "label": self.label,
            "type": "KVM",
        }

    def as_details(self) -> dict[str, Any]:
        busy = [task for task in self.tasks if not task.completed]
        return {
            "synch_date": "2018-07-18T14:04:34+00:00",
            "package_id": 11,
            "domain": f"{self.server_id}.time4vps.cloud",
            "label": self.label,
            "status": self.status,
            "cpu_frequency": 2333,
            "cpu_cores": 2,
            "ram_limit": self.memory_mb,
            "ram_used": 56,
            "disk_limit": 20_480,
            "disk_usage": 859,
            "bw_limit": 4938,
            "bw_in": 372,
            "bw_out": 336,
            "os": self.os,
            "ip": self.ip,
            "additional_ip": [],
            "dns_servers": None,
            "components": [],
            "active_task": self._active(busy[0]) if busy else None,
            "last_tasks": None,
        }

    def _active(self, task: HeldTask) -> dict[str, Any]:
        return {**task.as_json(), **({"id": task.id} if self.tells_numbers else {})}


class ProviderServer:
    """One customer's part of the provider; a context manager."""

    def __init__(self) -> None:
        self.servers: dict[int, HeldServer] = {}
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self._ids, self._tasks = count(110), count(9_001)
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        """What TIME4VPS_API_BASE_URL has to be."""
        return f"{self._http.url}/api"

    def client(self, *, password: str = PASSWORD) -> Time4Vps:
        """Return the real adapter for this account."""
        return Time4Vps(username=USERNAME, password=password, url=self.url)

    def add_server(self, **fields: Any) -> HeldServer:
        """Rent one more server."""
        address = fields.pop("address", "203.0.113.10")
        server = HeldServer(server_id=next(self._ids), ip=address, **fields)
        self.servers[server.server_id] = server
        return server

    def finish_tasks(self) -> None:
        """Let everything that is under way end well."""
        for server in self.servers.values():
            for task in server.tasks:
                if not task.completed:
                    task.completed = "2018-05-31T10:27:24+00:00"
                    server.password = secrets.token_urlsafe(9)
                    task.results = f"{task.name} done. New password: {server.password}"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Answer a request of the account's owner."""
        if (method, path) == ("GET", "/api/server"):
            return 200, [server.as_line() for server in self.servers.values()]
        found = _SERVER.fullmatch(path)
        server = self.servers.get(int(found[1])) if found else None
        if found is None or server is None:
            return 404, {"error": ["Invalid server ID"]}
        return self._about(server, method, found[2] or "", body)

    def _about(self, server: HeldServer, method: str, what: str, body: dict[str, Any]) -> tuple[int, Any]:
        match method, what.partition("/")[0]:
            case "GET", "":
                return 200, server.as_details()
            case "GET", "oses":
                return 200, _SYSTEMS
            case "GET", "task":
                number = int(what.partition("/")[2])
                task = next((task for task in server.tasks if task.id == number), None)
                return (200, task.as_json()) if task else (404, {"error": ["Invalid task ID"]})
            case "POST", "resetpassword":
                return 200, {"task_id": self._begin(server, "server_reset_password")}
            case "POST", "reinstall" if body.get("os") in {each["os"] for each in _SYSTEMS}:
                server.os, server.public_key = body["os"], body.get("ssh_key", "")
                return 200, {"task_id": self._begin(server, "server_recreate")}
        return 400, {"error": ["Invalid parameters"]}

    def _begin(self, server: HeldServer, name: str) -> int:
        task = HeldTask(id=next(self._tasks), name=name)
        server.tasks.append(task)
        return task.id


class _Http(DoubleServer):
    def __init__(self, provider: ProviderServer) -> None:
        self.provider = provider
        super().__init__(_Handler)


class _Handler(DoubleHandler):
    def _serve(self) -> None:
        server = self.server
        assert isinstance(server, _Http)
        provider, content = server.provider, self.read_body()
        provider.seen.append(f"{self.command} {self.path}")
        fault = provider.faults.pop(0) if provider.faults else None
        if fault is None or fault.after_the_effect:
            status, payload = self._answer(provider, json.loads(content or b"{}"))
        if fault is None:
            self._say(status, json.dumps(payload).encode(), {})
        elif fault.hangs_up:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self._say(fault.status, fault.body, dict(fault.headers))

    do_GET = do_POST = _serve

    def _answer(self, provider: ProviderServer, body: dict[str, Any]) -> tuple[int, Any]:
        expected = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            return 401, {"error": ["wronglogin"]}
        return provider.answer(self.command, self.path, body)

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
