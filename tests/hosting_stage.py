"""What the git host in memory holds, and how a test plays the host's part."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import CheckReport, CheckStatus, PullRequestState, RunStatus

MAX_SECRETS, MAX_SECRET_BYTES = 100, 48 * 1024
#: What deserves a look first when several checks are taken together.
WORST = (
    CheckStatus.FAILED,
    CheckStatus.ACTION_REQUIRED,
    CheckStatus.TIMED_OUT,
    CheckStatus.CANCELED,
    CheckStatus.BROKEN,
    CheckStatus.MISSING,
    CheckStatus.PENDING,
    CheckStatus.SUCCEEDED,
)
_SECRET = re.compile(r"(?!GITHUB_)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)


@dataclass
class HeldPull:
    number: int
    branch: str
    into: str
    head: str
    state: PullRequestState = PullRequestState.OPEN
    merge_sha: str = ""
    conflicting: bool | None = False
    title: str = ""
    body: str = ""

    def merge(self, merge_sha: str, head: str) -> None:
        self.state, self.merge_sha, self.head = PullRequestState.MERGED, merge_sha, head

    def close(self) -> None:
        if self.state is PullRequestState.OPEN:
            self.state = PullRequestState.CLOSED


@dataclass
class HeldRun:
    id: int
    spec: hosting.DispatchSpec
    head_sha: str
    status: RunStatus = RunStatus.QUEUED
    attempt: int = 1
    log: hosting.RunLog | None = None


@dataclass
class Held:
    """What is known of one repository."""

    repository: base.Repository
    protected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pulls: dict[int, HeldPull] = field(default_factory=dict)
    reports: dict[tuple[str, str], CheckReport] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    runs: dict[int, HeldRun] = field(default_factory=dict)
    deployments: list[hosting.HostDeployment] = field(default_factory=list)
    unknown: CheckStatus = CheckStatus.MISSING

    def report(self, sha: str, checks: tuple[str, ...]) -> CheckReport:
        """Return the worst of the named checks; one nobody concluded is as the stage says."""
        missing = CheckReport(sha=sha, status=self.unknown)
        found = [self.reports.get((sha, name), missing) for name in checks]
        return min(found, key=lambda report: WORST.index(report.status), default=missing)

    def run(self, run_id: int) -> HeldRun:
        if run_id not in self.runs:
            raise hosting.RunNotFound
        return self.runs[run_id]

    def log(self, run_id: int) -> hosting.RunLog | None:
        for report in self.reports.values():
            if report.run_id == run_id:
                log = hosting.RunLog(job=report.job, step=report.step, excerpt=report.excerpt)
                return log if report.step else None
        return self.run(run_id).log


class HostStage:
    """The controls of a git host in memory.

    Attributes:
        down: every verb raises ForgeUnavailable.
        unconcluded: what a check says of a commit that nobody concluded; PENDING starts checks at once,
            SUCCEEDED lets everything pass.
        returns_run_ids: as the host does since February 2026; False plays an older one.
        loses_dispatches: a dispatch is accepted and no run ever appears.
        ignores_cancels: a run goes on although its end was asked for.
        workflows: the files that can be dispatched; None accepts every name.

    """

    def __init__(self, forge: base.Forge) -> None:
        self.forge = forge
        self.down = False
        self.calls: list[str] = []
        self.unconcluded = CheckStatus.MISSING
        self.returns_run_ids = True
        self.loses_dispatches = False
        self.ignores_cancels = False
        self.workflows: set[str] | None = None
        self.dispatched: list[hosting.DispatchSpec] = []
        self.reruns: list[int] = []
        self._held: dict[str, Held] = {}
        self._errors: dict[str, deque[Exception]] = {}
        self._ids = count(1001)

    # --- For the adapter ----------------------------------------------------

    def answer(self, verb: str) -> None:
        self.calls.append(verb)
        if self.down:
            raise base.ForgeUnavailable
        if waiting := self._errors.get(verb) or self._errors.get("*"):
            raise waiting.popleft()

    def open(self, verb: str, repository: base.Repository) -> Held:
        self.answer(verb)
        held = self._held.get(repository.name)
        if held is None:
            raise base.RepositoryNotFound
        if held.repository.id != repository.id:
            raise base.RepositoryTaken
        held.unknown = self.unconcluded
        return held

    def add(self, repository: base.Repository) -> None:
        self._held.setdefault(repository.name, Held(repository))

    def remove(self, repository: base.Repository) -> bool:
        """Forget a repository; tell whether it was there."""
        held = self._held.get(repository.name)
        is_there = held is not None and held.repository.id == repository.id
        if is_there:
            del self._held[repository.name]
        return is_there

    def next_id(self) -> int:
        return next(self._ids)

    def check_workflow(self, repository: base.Repository, workflow: str) -> None:
        if self.workflows is not None and workflow not in self.workflows:
            raise hosting.WorkflowNotFound

    # --- For a test ---------------------------------------------------------

    def fail(self, verb: str, *errors: Exception) -> None:
        """Let the next calls of a verb (``*``: of any) raise these, one each."""
        self._errors.setdefault(verb, deque()).extend(errors)

    def held(self, repository: base.Repository | None = None) -> Held:
        """Return what is held of a repository, of the only one if none is named."""
        if repository is not None:
            return self._held[repository.name]
        (held,) = self._held.values()
        return held

    def conclude(
        self,
        sha: str,
        status: CheckStatus,
        *,
        check: str = "check",
        job: str = "check",
        step: str = "",
        excerpt: str = "",
        repository: base.Repository | None = None,
    ) -> CheckReport:
        """Say what a check found out about a commit; said again, it is the next attempt of the same run."""
        held = self.held(repository)
        before = held.reports.get((sha, check))
        run_id = before.run_id if before and before.run_id else self.next_id()
        report = CheckReport(
            sha=sha,
            status=status,
            run_id=run_id,
            attempt=before.attempt if before and before.status is CheckStatus.PENDING else 1,
            url=f"{held.repository.url}/actions/runs/{run_id}",
            job=job if step else "",
            step=step,
            excerpt=excerpt,
        )
        held.reports[sha, check] = report
        return report

    def close_as_person(self, number: int, *, repository: base.Repository | None = None) -> None:
        """Close a pull request as somebody in the organisation would."""
        self.held(repository).pulls[number].close()

    def merge_as_person(self, number: int, *, repository: base.Repository | None = None) -> str:
        """Merge a pull request as somebody in the organisation would; returns the merge commit."""
        held = self.held(repository)
        pull = held.pulls[number]
        head = self.forge.head(held.repository, pull.branch)
        onto = self.forge.head(held.repository, pull.into)
        if head is None or onto is None:
            raise AssertionError("a pull request without its branches cannot be merged")
        spec = base.MergeSpec(
            request_id=f"person-{number}",
            source_sha=head,
            into=pull.into,
            expected_base=onto,
            message=f"Merge pull request #{number}",
            authored_at=datetime(2026, 1, 2, tzinfo=UTC),
        )
        merged = self.forge.merge(held.repository, spec)
        pull.merge(merged.sha, head)
        return merged.sha

    def start_run(self, run_id: int) -> None:
        """Let a queued run begin."""
        self._run(run_id)[1].status = RunStatus.RUNNING

    def finish_run(
        self,
        run_id: int,
        status: RunStatus,
        *,
        url: str = "",
        log: hosting.RunLog | None = None,
        sha: str | None = None,
        environment: str = "production",
    ) -> None:
        """End a run; a URL makes it report a deployment of ``sha`` (its input, or its commit)."""
        held, run = self._run(run_id)
        run.status, run.log = status, log
        if not url:
            return
        state = "success" if status is RunStatus.SUCCEEDED else "failure"
        deployment = hosting.HostDeployment(
            sha=sha or run.spec.inputs.get("sha") or run.head_sha,
            environment=environment,
            state=state,
            url=url,
            log_url=f"{held.repository.url}/actions/runs/{run_id}",
        )
        held.deployments.append(deployment)

    def run_of(self, correlation: str) -> int:
        """Return the id of a dispatched run."""
        runs = (run for held in self._held.values() for run in held.runs.values())
        return next(run.id for run in runs if run.spec.correlation == correlation)

    def _run(self, run_id: int) -> tuple[Held, HeldRun]:
        return next((held, held.runs[run_id]) for held in self._held.values() if run_id in held.runs)


def check_secrets(stored: Mapping[str, str], values: Mapping[str, str]) -> None:
    """Refuse what the host would refuse, before anything is stored.

    Raises:
        SecretRefused: a bad name, a value over 48 KB, or more than 100 secrets.

    """
    for name, value in values.items():
        if not _SECRET.fullmatch(name) or len(value.encode()) > MAX_SECRET_BYTES:
            raise hosting.SecretRefused(details={"name": name})
    if len(stored.keys() | values.keys()) > MAX_SECRETS:
        raise hosting.SecretRefused(f"A repository has at most {MAX_SECRETS} secrets")
