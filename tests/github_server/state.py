"""What this GitHub remembers."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nacl.public import PrivateKey

from tests.github_server.wire import now

LEVELS = {"": 0, "read": 1, "write": 2, "admin": 3}


@dataclass
class Token:
    """A credential and what it is good for."""

    value: str = field(repr=False)
    permissions: dict[str, str]
    repository_ids: frozenset[int] | None = None  # None: all of the installation
    expires_at: float = float("inf")
    is_job: bool = False  # of a workflow: what it does starts no workflow

    def allows(self, permission: str, level: str) -> bool:
        return LEVELS[self.permissions.get(permission, "")] >= LEVELS[level]

    def sees(self, repository_id: int) -> bool:
        return self.repository_ids is None or repository_id in self.repository_ids

    @property
    def is_expired(self) -> bool:
        return time.time() >= self.expires_at


@dataclass
class Pull:
    number: int
    title: str
    body: str
    head: str
    base: str
    head_sha: str
    base_sha: str
    state: str = "open"
    merged_at: str | None = None
    merge_sha: str | None = None  # the trial merge, or the real one
    mergeable: bool | None = None
    reads: int = 0
    draft: bool = False
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
    closed_at: str | None = None


@dataclass
class Status:
    """A commit status of the older kind."""

    id: int
    sha: str
    context: str
    state: str
    description: str = ""
    target_url: str = ""
    created_at: str = field(default_factory=now)


@dataclass
class StepState:
    number: int
    name: str
    status: str = "queued"
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    log: Path | None = None


@dataclass
class JobState:
    """A job of one attempt; it is a check run too, of the same id."""

    id: int
    run_id: int
    attempt: int
    name: str
    head_sha: str
    key: str = ""
    status: str = "queued"
    conclusion: str | None = None
    steps: list[StepState] = field(default_factory=list)
    started_at: str = field(default_factory=now)
    completed_at: str | None = None

    def finish(self, conclusion: str) -> None:
        self.status, self.conclusion, self.completed_at = "completed", conclusion, now()


@dataclass
class Run:
    id: int
    number: int
    path: str  # .github/workflows/ci.yml
    name: str
    title: str
    event: str
    head_branch: str
    head_sha: str  # what the checks belong to
    sha: str  # what is checked out
    ref: str
    document: Any  # workflow.Workflow, None if the file cannot be used
    suite_id: int
    inputs: dict[str, Any] = field(default_factory=dict)
    pulls: tuple[int, ...] = ()
    attempt: int = 1
    status: str = "queued"
    conclusion: str | None = None
    jobs: list[JobState] = field(default_factory=list)
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
    complaint: str = ""
    hidden_listings: int = 0  # how many listings do not show it yet

    @property
    def file(self) -> str:
        return self.path.rpartition("/")[2]

    def jobs_of(self, attempt: int) -> list[JobState]:
        """Return the jobs as an attempt had them: what was not run again stays as it was."""
        latest: dict[str, JobState] = {}
        for job in self.jobs:
            if job.attempt <= attempt:
                latest[job.key] = job
        return list(latest.values())


@dataclass
class Deployment:
    id: int
    sha: str
    ref: str
    task: str
    environment: str
    description: str
    payload: Any
    creator: str
    statuses: list[dict[str, Any]] = field(default_factory=list)
    created_at: str = field(default_factory=now)


@dataclass
class Repository:
    id: int
    owner: str
    name: str
    path: Path  # a bare repository
    description: str = ""
    private: bool = True
    default_branch: str = "main"
    topics: list[str] = field(default_factory=list)
    former_names: set[str] = field(default_factory=set)
    settings: dict[str, Any] = field(default_factory=dict)
    protection: dict[str, dict[str, Any]] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    secret_dates: dict[str, tuple[str, str]] = field(default_factory=dict)
    key: PrivateKey = field(default_factory=PrivateKey.generate, repr=False)
    workflow_ids: dict[str, int] = field(default_factory=dict)
    created_at: str = field(default_factory=now)
    pushed_at: str | None = None

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def pull(self, number: int) -> Pull | None:
        return next((pull for pull in self.pulls if pull.number == number), None)

    def run(self, run_id: int) -> Run | None:
        return next((run for run in self.runs if run.id == run_id), None)
