"""The second half of the port to a git host: pull requests, checks, secrets and workflows.

GitHub offers it; the forge on this machine does not, and what these verbs bring
about there is done by the control plane itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from apps.errors import Conflict, Invalid, NotFound, OrchestratorError, Unavailable
from apps.projects.forge.base import Repository


class ForgeRateLimited(Unavailable):
    """The git host asks us to wait; ``details["retry_after"]`` says how many seconds."""

    code = "forge_rate_limited"


class ForgeForbidden(OrchestratorError):
    """The git host refuses this to us; ``details["permission"]`` names what is lacking, if it says so."""

    code = "forge_forbidden"


class ForgeCredentialInvalid(OrchestratorError):
    """The git host does not accept our credential: the app's id or its private key is wrong."""

    code = "forge_credential_invalid"


class AppNotInstalled(OrchestratorError):
    """The app is not installed in the organisation."""

    code = "forge_app_not_installed"


class OrganisationNotFound(OrchestratorError):
    """The git host knows no such organisation."""

    code = "forge_organisation_not_found"


class ForgeRefused(Invalid):
    """The git host finds the request wrong; its own words are in the message."""

    code = "forge_refused"


class PullRequestNotFound(NotFound):
    """There is no such pull request."""

    code = "pull_request_not_found"


class PullRequestClosed(Conflict):
    """The pull request was closed without being merged."""

    code = "pull_request_closed"


class WorkflowNotFound(NotFound):
    """The repository has no workflow of that file name on its default branch."""

    code = "workflow_not_found"


class RunNotFound(NotFound):
    """There is no such workflow run."""

    code = "workflow_run_not_found"


class SecretRefused(Invalid):
    """A secret's name or size is not acceptable, or the repository has too many."""

    code = "secret_refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequestSpec:
    """A pull request that should exist; its branch names it, so asking again finds the first."""

    branch: str
    into: str
    title: str
    body: str  # Markdown


class PullRequestState(StrEnum):
    """Where a pull request is in its life."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequest:
    """A pull request as it was read."""

    number: int
    url: str
    state: PullRequestState
    branch: str
    into: str
    head_sha: str
    merge_sha: str = ""  # of a merged one
    conflicting: bool | None = None  # None: the host has not found out yet


class CheckStatus(StrEnum):
    """What the required checks of one exact commit say, taken together."""

    MISSING = "missing"  # none of that name was started for this commit
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the project's own no
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"  # a person has to approve something at the host
    BROKEN = "broken"  # the host could not start it or lost its runner; says nothing about the work


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """The required checks of a commit; the worst of them decides."""

    sha: str
    status: CheckStatus
    run_id: int | None = None  # the workflow run of the deciding check
    attempt: int = 0
    url: str = ""
    job: str = ""
    step: str = ""
    excerpt: str = ""  # the end of the failing step's log: bounded, redacted by the host and by us


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchSpec:
    """A workflow that should run once for one correlation id."""

    workflow: str  # file name below .github/workflows
    ref: str  # branch
    correlation: str  # goes in as the input ``correlation`` and must appear in the run's name
    inputs: Mapping[str, str] = field(default_factory=dict)


class RunStatus(StrEnum):
    """What a workflow run is doing or how it ended."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"
    BROKEN = "broken"  # start-up failure: the workflow file cannot be used

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more will happen."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowRun:
    """A workflow run as it was read."""

    id: int
    status: RunStatus
    head_sha: str
    url: str
    attempt: int = 1
    conclusion: str = ""  # the host's own word


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLog:
    """Where a run failed, and the end of what that step printed."""

    job: str
    step: str
    excerpt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDeployment:
    """What a workflow reported about a deployment of one commit."""

    sha: str
    environment: str
    state: str  # success, failure, in_progress, ...: the host's word
    url: str = ""
    log_url: str = ""
    #: What the workflow handed over with it, ``correlation`` and ``images`` among it; bounded by the adapter.
    payload: Mapping[str, Any] = field(default_factory=dict)


class Hosting(Protocol):
    """Pull requests, checks, secrets and workflows of repositories on one git host.

    Every verb may be repeated after any failure. All take the Repository that
    `Forge.ensure_repository` returned; one adapter implements both protocols.

    Raises:
        ForgeUnavailable: from any verb, when the host does not answer or answers 5xx.
        ForgeRateLimited: from any verb, when a limit is reached, the host's or our own.
        ForgeForbidden, ForgeCredentialInvalid, AppNotInstalled, ForgeRefused: from any
            verb; an operator has to act, trying again is useless.
        RepositoryNotFound: from any verb, when the repository is gone.

    """

    def protect_branch(self, repository: Repository, *, branch: str, checks: tuple[str, ...]) -> None:
        """Let a branch change only by up-to-date pull requests whose checks passed; read back."""

    def open_pull_request(self, repository: Repository, spec: PullRequestSpec) -> PullRequest:
        """Open the pull request of a branch, or find it, whatever became of it.

        One that is found open gets this title and this body, if it has others: its
        description speaks of the commit that is on the branch now.
        """

    def read_pull_request(self, repository: Repository, number: int) -> PullRequest:
        """Return a pull request.

        Raises:
            PullRequestNotFound: there is none of that number.

        """

    def close_pull_request(self, repository: Repository, number: int) -> PullRequest:
        """Close it unless it is merged or closed, and return how it is then."""

    def read_checks(self, repository: Repository, *, sha: str, checks: tuple[str, ...]) -> CheckReport:
        """Return what the named checks say about exactly this commit."""

    def rerun(self, repository: Repository, run_id: int) -> None:
        """Run the failed jobs of a workflow run once more; its attempt number grows."""

    def put_secrets(self, repository: Repository, values: Mapping[str, str]) -> None:
        """Store secrets, sealed for the repository; all are stored when this returns.

        Raises:
            SecretRefused: a name or a value is not acceptable, or there would be more than 100;
                nothing was stored.

        """

    def list_secrets(self, repository: Repository) -> frozenset[str]:
        """Return the names of the secrets; the host never returns a value."""

    def delete_secret(self, repository: Repository, name: str) -> None:
        """Delete a secret; an absent one is success."""

    def dispatch(self, repository: Repository, spec: DispatchSpec) -> int | None:
        """Start a workflow; return the run's id if the host tells it (older ones do not).

        Not idempotent by itself: look with `find_run` before a second try.

        Raises:
            WorkflowNotFound: there is no such workflow, or it cannot be dispatched.

        """

    def find_run(self, repository: Repository, *, workflow: str, correlation: str) -> WorkflowRun | None:
        """Return the run whose name carries the correlation id, or None."""

    def read_run(self, repository: Repository, run_id: int) -> WorkflowRun:
        """Return a run.

        Raises:
            RunNotFound: there is none of that id.

        """

    def read_log(self, repository: Repository, run_id: int, *, limit: int) -> RunLog | None:
        """Return where a run failed with at most ``limit`` bytes of log; None when no step failed.

        A log of any size is read in bounded memory.
        """

    def cancel_run(self, repository: Repository, run_id: int) -> None:
        """Ask for the end of a run; one that has ended is left alone. `read_run` tells when it has."""

    def read_deployment(self, repository: Repository, *, sha: str, environment: str) -> HostDeployment | None:
        """Return the newest deployment of exactly this commit with its newest status, or None."""

    def delete_repository(self, repository: Repository) -> None:
        """Delete a repository with everything in it; an absent one is success."""
