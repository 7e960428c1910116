"""A provider of servers in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from apps.infra.providers.base import (
    ListedServer,
    NotAllowed,
    OrchestratorError,
    ProviderTask,
    ServerDetails,
)


@dataclass
class FakeProvider:
    """Keeps servers and tasks; ``refusal`` is raised by whatever is asked next, as long as it is set."""

    name: str = "time4vps"
    servers: dict[str, ServerDetails] = field(default_factory=dict)
    tasks: dict[str, ProviderTask] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refusal: OrchestratorError | None = None
    tells_numbers: bool = True  # of the task that a server is busy with
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, provider_id: str, *, address: str = "203.0.113.10") -> None:
        """Rent one more server."""
        self.servers[provider_id] = ServerDetails(
            provider_id=provider_id,
            address=address,
            system="debian-12",
            cpus=2,
            memory_mb=2_048,
            disk_mb=20_480,
            is_active=True,
            is_busy=False,
        )

    def finish_tasks(self) -> None:
        """Let everything end well."""
        for number, task in self.tasks.items():
            self.tasks[number] = replace(task, is_done=True, password=f"password-of-{number}")
        for number, server in self.servers.items():
            self.servers[number] = replace(server, is_busy=False, is_reinstalling=False, task="")

    def list_servers(self) -> Sequence[ListedServer]:
        self._note("list_servers")
        return [
            ListedServer(provider_id=one.provider_id, name=f"server {one.provider_id}", address=one.address)
            for one in self.servers.values()
        ]

    def get_details(self, provider_id: str) -> ServerDetails:
        self._note("get_details", provider_id)
        return self.servers[provider_id]

    def list_systems(self, provider_id: str) -> Sequence[str]:
        self._note("list_systems", provider_id)
        return ["debian-12"]

    def reset_password(self, provider_id: str) -> str:
        self._note("reset_password", provider_id)
        return self._begin(provider_id, "reset_password")

    def reinstall(self, provider_id: str, *, system: str, public_key: str) -> str:
        self._note("reinstall", provider_id)
        if system != "debian-12":
            raise NotAllowed("There is no such system.")
        return self._begin(provider_id, "reinstall")

    def get_task(self, provider_id: str, task: str) -> ProviderTask:
        self._note("get_task", provider_id)
        if task not in self.tasks:
            raise NotAllowed("There is no such task.")
        return self.tasks[task]

    def _begin(self, provider_id: str, name: str) -> str:
        number = str(next(self._numbers))
        self.tasks[number] = ProviderTask(name=name, is_done=False)
        self.servers[provider_id] = replace(
            self.servers[provider_id],
            is_busy=True,
            is_reinstalling=name == "reinstall",
            task=number if self.tells_numbers else "",
        )
        return number

    def _note(self, call: str, provider_id: str = "") -> None:
        self.calls.append(f"{call} {provider_id}".strip())
        if self.refusal is not None:
            raise self.refusal
        if provider_id and provider_id not in self.servers:
            raise NotAllowed("There is no such server.")
