"""An active project on a git host with pull requests, and the hands of those who work there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apps.projects import reconciler, services
from apps.projects.forge.hosting import CheckStatus
from apps.projects.forge.local import LocalForge
from apps.projects.models import ForgeName, MergeRequest, MergeRequestStatus, TaskEvent
from tests.apps.projects.rig import make_tools
from tests.apps.projects.test_integration import Bench
from tests.factories import make_project
from tests.fakes_forge import GitSource
from tests.fakes_hosting import FakeGitHost
from tests.hosting_stage import HeldPull, HostStage

EVIDENCE = {"passed": 12, "total": 12, "seconds": 2.5, "verification": "v-1"}


class HostedBench(Bench):
    """The bench of the local forge with a host's pull requests and checks over it."""

    @property
    def host(self) -> HostStage:
        return self.forge.host  # type: ignore[attr-defined, no-any-return]

    def tools(self, **changes: Any) -> Any:
        forge = changes.pop("forge", self.forge)
        return make_tools(forge, self.root / "scratch", **{"hosting": forge, **changes})

    def work_on(self, **files: bytes) -> MergeRequest:
        """A verified change whose merge was asked for."""
        return self.ask(self.reconcile(self.propose(self.commit(files or {"app/books.py": b"pass\n"}))))

    def ask(self, change: MergeRequest) -> MergeRequest:
        services.request_merge(merge_request_id=change.pk, evidence=EVIDENCE)
        return change.reload()

    def look(self, change: MergeRequest, **changes: Any) -> MergeRequest:
        """Look at a change although its time has not come."""
        MergeRequest.objects.filter(pk=change.pk).update(poll_at=None)
        return self.reconcile(change, **changes)

    def pull(self, change: MergeRequest) -> HeldPull:
        return self.host.held().pulls[change.pull_request or 0]

    def conclude(self, change: MergeRequest, status: CheckStatus, **words: str) -> MergeRequest:
        """Let the host's checks of a change end, and look."""
        self.host.conclude(change.head_sha, status, **words)
        return self.look(change)

    def settle(self, change: MergeRequest) -> MergeRequest:
        """Let everything pass until the change has ended."""
        for _ in range(4):
            if change.status in MergeRequest.final_statuses():
                break
            if change.status == MergeRequestStatus.PROPOSED and change.proposed_at:
                self.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)
            self.look(change)
        return change

    def move_main(self, files: dict[str, bytes]) -> str:
        """Let a person bring a commit into the default branch; returns its head."""
        repository = self.repository()
        base = self.forge.head(repository, "main") or ""
        names = self.mirror().text("ls-tree", "-r", "--name-only", base).splitlines()
        present = {name: self.mirror().run("cat-file", "blob", f"{base}:{name}").output for name in names}
        head = self.work.commit_files({**present, **files}, base)
        local: LocalForge = self.forge.forge  # type: ignore[attr-defined, assignment]
        local.push(repository, source=self.work.path, sha=head, branch="main", expected=base)
        return head

    def events(self, change: MergeRequest) -> list[str]:
        rows = TaskEvent.objects.filter(task=change.task).order_by("seq")
        return list(rows.values_list("kind", flat=True))


def make_bench(settings: Any, tmp_path: Path) -> HostedBench:
    settings.MEDIA_ROOT = tmp_path / "storage"
    host = FakeGitHost(LocalForge(tmp_path / "forge"))
    project = make_project(name="Books", slug="books", forge=ForgeName.GITHUB)
    services.request_scaffold(project_id=project.pk)
    tools = make_tools(host, tmp_path / "scratch", hosting=host)
    reconciler.reconcile_project(project_id=project.pk, tools=tools)
    work = GitSource(tmp_path / "work.git", alternates=tmp_path / "forge" / "books.git")
    return HostedBench(root=tmp_path, forge=host, project=project.reload(), work=work)  # type: ignore[arg-type]


def after(**duration: float) -> Any:
    """A clock that is so much ahead."""
    return lambda: datetime.now(UTC) + timedelta(**duration)
