"""The hosts of the conformance suites of hosting, each with what lets its checks and runs go on."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from apps.projects.forge import base, hosting
from apps.projects.forge.github.adapter import GitHubForge
from apps.projects.forge.hosting import CheckStatus
from tests.conformance.git_hosts import double, real
from tests.conformance.hosting_stages import CHECKS, GitHost, Stage
from tests.fakes_forge import MOMENT
from tests.fakes_hosting import FakeGitHost
from tests.github_server import pulls
from tests.github_server.state import Token
from tests.github_server.world import GitHub

PATIENCE_SECONDS = 120.0


@contextmanager
def open_stage(kind: str, folder: Path) -> Iterator[Stage]:
    """Offer a host of a kind, empty."""
    if kind == "fake":
        yield FakeStage()
    elif kind == "github":
        with double(folder) as (github, forge):
            yield DoubleStage(github, forge)
    else:
        with real(folder) as host:
            yield RealStage(host)  # type: ignore[arg-type]


class FakeStage:
    """The host in memory: what its workflows would have done is done by hand."""

    def __init__(self) -> None:
        self.host = FakeGitHost()
        self.host.host.unconcluded = hosting.CheckStatus.PENDING
        self.host.host.workflows = {"ci.yml", "main.yml"}

    def settle_checks(self, repository: base.Repository, sha: str) -> hosting.CheckReport:
        try:
            self.host.forge.read_file(repository, sha=sha, path="broken", limit=1_000)
            is_good = False
        except base.FileNotFound:
            is_good = True
        status = hosting.CheckStatus.SUCCEEDED if is_good else hosting.CheckStatus.FAILED
        step, excerpt = ("", "") if is_good else ("Look for the fault", "E   assert 1 == 2")
        return self.host.host.conclude(sha, status, step=step, excerpt=excerpt)

    def begin_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        self.host.host.start_run(run_id)
        return self.host.read_run(repository, run_id)

    def settle_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        run = self.host.host.held(repository).run(run_id)
        if run.status.is_final:
            return self.host.read_run(repository, run_id)
        if run.spec.inputs.get("ending") == "bad":
            log = hosting.RunLog(job="deploy", step="Release", excerpt="the server refused the image\n")
            self.host.host.finish_run(run_id, hosting.RunStatus.FAILED, log=log)
        else:
            self.host.host.finish_run(run_id, hosting.RunStatus.SUCCEEDED, url="https://books.example")
        return self.host.read_run(repository, run_id)

    def merge_as_person(self, repository: base.Repository, number: int) -> str:
        return self.host.host.merge_as_person(number, repository=repository)


class PatientStage:
    """A host whose runner does the work: whoever wants a result waits for it."""

    poll_seconds = 0.05
    patience_seconds = PATIENCE_SECONDS

    def __init__(self, host: GitHost) -> None:
        self.host = host

    def settle_checks(self, repository: base.Repository, sha: str) -> hosting.CheckReport:
        until = time.monotonic() + self.patience_seconds
        while True:
            report = self.host.read_checks(repository, sha=sha, checks=CHECKS)
            if report.status not in (CheckStatus.MISSING, CheckStatus.PENDING):
                return report
            assert time.monotonic() < until, f"the check did not end: {report}"
            time.sleep(self.poll_seconds)

    def settle_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        return self._until(repository, run_id, lambda run: run.status.is_final)

    def begin_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        return self._until(repository, run_id, lambda run: run.status is not hosting.RunStatus.QUEUED)

    def _until(
        self, repository: base.Repository, run_id: int, is_reached: Callable[[hosting.WorkflowRun], bool]
    ) -> hosting.WorkflowRun:
        until = time.monotonic() + self.patience_seconds
        while not is_reached(run := self.host.read_run(repository, run_id)):
            assert time.monotonic() < until, f"the run did not get on: {run}"
            time.sleep(self.poll_seconds)
        return run

    def merge_as_person(self, repository: base.Repository, number: int) -> str:
        """Merge with the adapter under a name that nobody asks for."""
        pull = self.host.read_pull_request(repository, number)
        spec = base.MergeSpec(
            request_id=f"person-{number}",
            source_sha=pull.head_sha,
            into=pull.into,
            expected_base=self.host.head(repository, pull.into) or "",
            message="Merge by hand",
            authored_at=MOMENT,
            pull_request=number,
        )
        return self.host.merge(repository, spec).sha


class DoubleStage(PatientStage):
    """GitHub's double, with a person in it who clicks on merge."""

    def __init__(self, github: GitHub, forge: GitHubForge) -> None:
        super().__init__(forge)
        self.github = github

    def merge_as_person(self, repository: base.Repository, number: int) -> str:
        held = self.github.by_id(int(repository.id))
        assert held is not None
        pull = held.pull(number)
        assert pull is not None
        with self.github.lock:
            return pulls.merge(self.github, held, pull, {}, by=Token("person", {"workflows": "admin"}))


class RealStage(PatientStage):
    """GitHub itself: slower, and asked less often."""

    poll_seconds = 5.0
    patience_seconds = 600.0
