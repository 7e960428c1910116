"""What others may ask about projects, tasks and proposed changes; no side effects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.errors import NotFound
from apps.failures import Failure
from apps.projects.environment import KnownSecret
from apps.projects.models import (
    Dispatch,
    MergeRequest,
    MergeRequestStatus,
    Project,
    ProjectSecret,
    Task,
    TaskEvent,
)


class ProjectNotFound(NotFound):
    """There is no such project."""

    code = "project_not_found"


class DispatchNotFound(NotFound):
    """There is no such dispatched workflow."""

    code = "dispatch_not_found"


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "task_not_found"


class ChangeNotFound(NotFound):
    """There is no such proposed change."""

    code = "merge_request_not_found"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOutcome:
    """Where a proposed change has got to."""

    status: str
    is_open: bool  # found sound, on its branch, ready to be verified
    is_final: bool
    base_sha: str  # a rebase's own, not the worker's
    head_sha: str
    merge_sha: str  # empty until merged
    is_rebase: bool
    checkout_name: str  # bundle of base and head, for the verification
    checkout_sha256: str
    report: dict[str, Any] | None  # what the inspection saw
    failure: Failure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchOutcome:
    """Where a dispatched workflow has got to."""

    status: str
    is_final: bool
    deployment_id: UUID
    run_url: str
    url: str  # that it reported
    images: dict[str, str]
    bots: dict[str, Any]  # what Telegram said, by variable
    log: dict[str, str] | None  # job, step, excerpt
    failure: Failure | None


def find_project(project_id: UUID) -> Project | None:
    """Return a project, or None when there is none of that id."""
    return Project.objects.filter(pk=project_id).first()


def get_project(project_id: UUID) -> Project:
    """Return a project.

    Raises:
        ProjectNotFound: there is none of that id.

    """
    project = find_project(project_id)
    if project is None:
        raise ProjectNotFound(details={"project": str(project_id)})
    return project


def forge_of(
    *, project_id: UUID | None = None, merge_request_id: UUID | None = None, dispatch_id: UUID | None = None
) -> str | None:
    """Return the git host of a project, or of a change's or a dispatch's project; None if it is gone."""
    rows = Project.objects.filter(pk=project_id) if project_id else Project.objects.all()
    if merge_request_id:
        rows = rows.filter(merge_requests=merge_request_id)
    if dispatch_id:
        rows = rows.filter(dispatches=dispatch_id)
    return rows.values_list("forge", flat=True).first()


def find_task(task_id: UUID) -> Task | None:
    """Return a task with its project, or None when there is none of that id."""
    return Task.objects.select_related("project").filter(pk=task_id).first()


def get_task(task_id: UUID) -> Task:
    """Return a task with its project.

    Raises:
        TaskNotFound: there is none of that id.

    """
    task = find_task(task_id)
    if task is None:
        raise TaskNotFound(details={"task": str(task_id)})
    return task


def find_follower(*, task_id: UUID) -> Task | None:
    """Return the task that deploys an engineering task's result, or None when nobody asked for it."""
    return Task.objects.filter(follows_id=task_id, retry_of=None).first()


def list_events(*, task_id: UUID, after_seq: int = 0, limit: int = 1_000) -> list[TaskEvent]:
    """Return lines of a task's timeline in their order.

    Args:
        task_id: whose timeline.
        after_seq: the last line that is known already.
        limit: the largest number of lines.

    """
    return list(TaskEvent.objects.filter(task_id=task_id, seq__gt=after_seq).order_by("seq")[:limit])


def get_change_outcome(*, merge_request_id: UUID) -> ChangeOutcome:
    """Return where a proposed change has got to.

    Raises:
        ChangeNotFound: there is none of that id.

    """
    change = MergeRequest.objects.filter(pk=merge_request_id).first()
    if change is None:
        raise ChangeNotFound(details={"merge_request": str(merge_request_id)})
    return ChangeOutcome(
        status=change.status,
        is_open=change.status == MergeRequestStatus.OPEN,
        is_final=change.status in MergeRequest.final_statuses(),
        base_sha=change.base_sha,
        head_sha=change.head_sha,
        merge_sha=change.merge_sha,
        is_rebase=change.rebase_of_id is not None,
        checkout_name=change.checkout_name,
        checkout_sha256=change.checkout_sha256,
        report=change.report,
        failure=Failure.from_json(change.failure) if change.failure else None,
    )


def count_equal_failures(*, merge_request_id: UUID) -> int:
    """Return how often a task's changes failed the git host's checks for one reason, this time included.

    Args:
        merge_request_id: a refused change.

    """
    change = MergeRequest.objects.filter(pk=merge_request_id).only("task_id", "fingerprint").first()
    if change is None or not change.fingerprint:
        return 0
    return MergeRequest.objects.filter(task_id=change.task_id, fingerprint=change.fingerprint).count()


def get_host_excerpt(*, merge_request_id: UUID) -> str:
    """Return the end of the log of the git host's failed checks; empty if there is none."""
    checks = MergeRequest.objects.filter(pk=merge_request_id).values_list("checks", flat=True).first()
    return str((checks or {}).get("excerpt", ""))


def get_dispatch_outcome(*, dispatch_id: UUID) -> DispatchOutcome:
    """Return where a dispatched workflow has got to.

    Raises:
        DispatchNotFound: there is none of that id.

    """
    row = Dispatch.objects.filter(pk=dispatch_id).first()
    if row is None:
        raise DispatchNotFound(details={"dispatch": str(dispatch_id)})
    return DispatchOutcome(
        status=row.status,
        is_final=row.status in Dispatch.final_statuses(),
        deployment_id=row.deployment_id,
        run_url=row.run_url,
        url=row.url,
        images=row.images,
        bots=row.bots,
        log=row.log,
        failure=Failure.from_json(row.failure) if row.failure else None,
    )


def known_secrets(*, project_id: UUID) -> dict[str, KnownSecret]:
    """Return a project's secrets by name, for the environment of its services only.

    A value that is with the git host only is None.
    """
    rows = ProjectSecret.objects.filter(project_id=project_id).order_by("key")
    return {row.key: KnownSecret(digest=row.digest, value=row.value or None) for row in rows}


def list_secret_keys(*, project_id: UUID) -> list[str]:
    """Return the names of a project's secrets, sorted; the values are nobody's business."""
    secrets = ProjectSecret.objects.filter(project_id=project_id).order_by("key")
    return list(secrets.values_list("key", flat=True))


def list_secrets(*, project_id: UUID) -> list[ProjectSecret]:
    """Return that a project's secrets exist, sorted by name; their values stay in the database."""
    return list(ProjectSecret.objects.filter(project_id=project_id).defer("value").order_by("key"))


def bundle_names_in_use() -> Iterable[str]:
    """Return the names in the storage that rows of this app still need."""
    yield from Project.objects.exclude(workspace_name="").values_list("workspace_name", flat=True)
    unfinished = MergeRequest.objects.exclude(status__in=MergeRequest.final_statuses())
    # A rebase replays the commits of the worker's change, which has ended.
    for names in unfinished.values_list("bundle_name", "checkout_name", "rebase_of__bundle_name"):
        yield from filter(None, names)
