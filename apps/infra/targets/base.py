"""The port to a place where releases run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from apps.errors import Unavailable


class TargetUnavailable(Unavailable):
    """The place where the release should run does not answer."""

    code = "target_unavailable"


class JobPhase(StrEnum):
    """What can be said about a job that was begun."""

    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"  # gone, and nobody recorded how


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """The files of one release, in a place of their own below the project's account."""

    name: str  # derived from the deployment; unique per installation attempt
    project: str  # whose account and data it uses
    service: str
    data_directory: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One command of a release: its installation, or the service itself."""

    name: str  # derived; beginning it again adopts it
    release: Release
    command: str  # as the manifest gives it, run by a shell
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Variables that name the data directory: what stands before, between and after it.
    data_variables: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    timeout_seconds: float
    bundle_name: str = ""  # installation only: the git bundle to check out first
    bundle_sha256: str = ""
    commit_sha: str = ""
    deployment_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobState:
    """One job as it was observed."""

    phase: JobPhase
    exit_code: int | None
    started_at: datetime
    finished_at: datetime | None


class DeployTarget(Protocol):
    """Jobs of releases, addressed by name; every verb is safe to call again after any failure.

    Order: ``begin`` the installation of a release, then ``begin`` its service;
    ``end`` and ``discard`` may be called at any time and succeed on absence.
    All verbs raise ``TargetUnavailable`` when the place does not answer.
    """

    def begin(self, job: Job) -> None:
        """Start the job, or adopt the one of that name whatever became of it."""
        ...

    def inspect(self, name: str) -> JobState | None:
        """Return what is observed; None means the place says there is no such job."""
        ...

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of a job's output; empty when there is none."""
        ...

    def end(self, name: str) -> None:
        """Stop the job and forget it; when this returns nothing of it runs."""
        ...

    def discard(self, release: Release) -> None:
        """Delete the files of a release; its project's data stay."""
        ...

    def is_port_free(self, port: int) -> bool:
        """Tell whether nobody listens on a port."""
        ...

    def list_jobs(self) -> dict[str, str]:
        """Return the jobs of this target: name → deployment id."""
        ...
