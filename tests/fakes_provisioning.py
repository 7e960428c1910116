"""Servers that are set up in memory: whom they let in, what playbooks do to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from apps.infra.ansible import Watcher
from apps.infra.first_login import Address, HostKeyChanged, LoginRefused, Secret, ServerUnreachable
from apps.infra.identities import read_key_pair
from apps.infra.inventory import PlaybookJob
from apps.infra.recap import PlaybookOutcome, PlaybookResult, Recap, TaskFailure

HOST_KEY, OTHER_HOST_KEY = "ssh-ed25519 " + "A" * 68, "ssh-ed25519 " + "B" * 68
PASSWORD = "correct horse"
WELL = PlaybookResult(
    outcome=PlaybookOutcome.SUCCEEDED,
    recap={"counts": {"ok": 9, "changed": 3}, "tasks": [], "left_out": []},
    facts={"system": "Debian 12", "cpus": 2, "memory_mb": 3_900, "disk_mb": 39_000, "left_out": []},
)


def failing(code: str = "task_failed", message: str = "E: no such package") -> PlaybookResult:
    """A run in which a task said no."""
    task = TaskFailure(task="docker : Install", code=code, message=message, stderr="")
    outcome = PlaybookOutcome.UNREACHABLE if code == "unreachable" else PlaybookOutcome.FAILED
    return PlaybookResult(outcome=outcome, recap={"counts": {"failed": 1}}, failure=task)


@dataclass
class FakeLogin:
    """A server that lets in whom it knows."""

    host_key: str = HOST_KEY
    is_up: bool = True
    passwords: set[str] = field(default_factory=lambda: {PASSWORD})
    keys: set[str] = field(default_factory=set)  # public, type and key
    refuses_deployments: bool = False
    installed: list[str] = field(default_factory=list)

    def seen_host_key(self, *, host: str, port: int) -> str:
        if not self.is_up:
            raise ServerUnreachable()
        return self.host_key

    def install_key(
        self, address: Address, *, key: Secret, public_key: str, others: Sequence[Secret]
    ) -> None:
        self._check(address)
        if not any(self._lets_in(secret) for secret in (key, *others)):
            raise LoginRefused()
        self.installed.append(public_key)
        self.keys.add(_bare(public_key))

    def try_key(self, address: Address, *, key: Secret) -> None:
        self._check(address)
        refused = self.refuses_deployments and address.user == "deploy"
        if refused or not self._lets_in(key):
            raise LoginRefused()

    def _check(self, address: Address) -> None:
        if not self.is_up:
            raise ServerUnreachable()
        if address.host_key != self.host_key:
            raise HostKeyChanged()

    def _lets_in(self, secret: Secret) -> bool:
        if secret.password:
            return secret.password in self.passwords
        return _bare(read_key_pair(secret.private_key).public_key) in self.keys


class FakePlaybooks:
    """Does to a fake server what the real playbooks do, and answers what it was told to, in order."""

    def __init__(self, login: FakeLogin, *answers: PlaybookResult) -> None:
        self._login, self._answers = login, list(answers)
        self.jobs: list[PlaybookJob] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        self.jobs.append(job)
        self._login.keys.add(_bare(str(job.variables["deploy_public_key"])))
        recap = Recap()
        recap.current_task = "docker : Install"
        self.meanwhile()
        if not watcher.is_wanted(recap):
            return PlaybookResult(outcome=PlaybookOutcome.CANCELED, recap=recap.as_json())
        return self._answers.pop(0) if self._answers else WELL


def _bare(public_key: str) -> str:
    return " ".join(public_key.split()[:2])
