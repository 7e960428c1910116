"""Writes proposed changes: what a worker made and wants to become part of the default branch."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps import storage
from apps.enqueue import enqueue
from apps.projects import composition, tasks, validation
from apps.projects.models import ForgeName, MergeRequest, MergeRequestStatus, Project, Task
from apps.projects.selectors import ChangeNotFound
from apps.projects.services.projects import lock_project
from apps.projects.signals import announce, merge_request_changed

#: The merge was asked for, or has been.
_ASKED: Final = (MergeRequestStatus.PROPOSED, MergeRequestStatus.MERGING, MergeRequestStatus.MERGED)


@transaction.atomic
def propose_change(
    *,
    idempotency_key: str,
    project_id: UUID,
    task_id: UUID,
    title: str,
    branch: str,
    base_sha: str,
    head_sha: str,
    bundle_name: str,
    bundle_sha256: str,
) -> UUID:
    """Ask for a bundle's commits to be inspected and put on their branch; one key is one request.

    Args:
        idempotency_key: derived by the caller; a repeat returns the first request.
        project_id: whose repository.
        task_id: the task of that project that this is for.
        title: cut to one line of 200 characters.
        branch: of the task, never the default branch.
        base_sha: the head of the default branch that the work began from.
        head_sha: the commit that is claimed.
        bundle_name: of the worker's bundle in the storage.
        bundle_sha256: its digest.

    Raises:
        Invalid: ``details`` maps each refused field to its problem.
        NotFound: there is no such project.
        ProjectArchived: it is no longer worked on.

    """
    known = MergeRequest.objects.filter(idempotency_key=idempotency_key).first()
    if known is not None:
        return known.pk
    project = _check(
        project_id=project_id, task_id=task_id, branch=branch, base_sha=base_sha, head_sha=head_sha
    )
    change, created = MergeRequest.objects.get_or_create(
        idempotency_key=idempotency_key,
        defaults={
            "project_id": project_id,
            "task_id": task_id,
            "title": validation.one_line(title) or "Change",
            "branch": branch,
            "base_sha": base_sha,
            "head_sha": head_sha,
            "bundle_name": storage.checked_name(bundle_name),
            "bundle_sha256": bundle_sha256,
            "deadline_at": timezone.now() + composition.get_limits(project.forge).merge_deadline,
        },
    )
    if created:
        enqueue(tasks.reconcile_merge_request, merge_request_id=str(change.pk))
    return change.pk


@transaction.atomic
def rebase_change(*, idempotency_key: str, merge_request_id: UUID) -> UUID:
    """Ask for a change to be replayed onto the present default branch, as a change of its own.

    A rebase of a rebase replays the worker's commits, too.

    Args:
        idempotency_key: derived by the caller; a repeat returns the first request.
        merge_request_id: the change that does not fit any more.

    Raises:
        ChangeNotFound: there is no such change.
        ProjectArchived: it is no longer worked on.

    """
    known = MergeRequest.objects.filter(idempotency_key=idempotency_key).first()
    if known is not None:
        return known.pk
    change = MergeRequest.objects.select_related("rebase_of").filter(pk=merge_request_id).first()
    if change is None:
        raise ChangeNotFound(details={"merge_request": str(merge_request_id)})
    origin = change.rebase_of or change
    project = lock_project(origin.project_id)
    rebase, created = MergeRequest.objects.get_or_create(
        idempotency_key=idempotency_key,
        defaults={
            "project": project,
            "task_id": origin.task_id,
            "rebase_of": origin,
            "title": origin.title,
            "branch": origin.branch,
            # Replaced when the present head is known and the commits were replayed onto it.
            "base_sha": origin.base_sha,
            "head_sha": origin.head_sha,
            "deadline_at": timezone.now() + composition.get_limits(project.forge).merge_deadline,
        },
    )
    if created:
        enqueue(tasks.reconcile_merge_request, merge_request_id=str(rebase.pk))
    return rebase.pk


@transaction.atomic
def request_merge(*, merge_request_id: UUID, evidence: Mapping[str, Any] | None = None) -> None:
    """Ask for a verified change to be merged; asking twice is asking once.

    On a git host with pull requests its own checks have the next word.

    Args:
        merge_request_id: the change.
        evidence: what the verification found; told in the pull request.

    Raises:
        IllegalTransition: it is not open.
        NotFound: there is no such change.

    """
    rows = MergeRequest.objects.filter(pk=merge_request_id)
    status, forge = rows.values_list("status", "project__forge").first() or ("", ForgeName.LOCAL)
    if status in _ASKED:
        return
    limits = composition.get_limits(forge)
    if forge == ForgeName.LOCAL:
        MergeRequest.transition(
            merge_request_id,
            to=MergeRequestStatus.MERGING,
            attempts=0,
            heartbeat_at=None,
            deadline_at=timezone.now() + limits.merge_deadline,
        )
    else:
        MergeRequest.transition(
            merge_request_id,
            to=MergeRequestStatus.PROPOSED,
            attempts=0,
            heartbeat_at=None,
            poll_at=None,
            evidence=dict(evidence or {}),
            deadline_at=timezone.now() + limits.checks_deadline,
        )
    enqueue(tasks.reconcile_merge_request, merge_request_id=str(merge_request_id))
    announce(merge_request_changed, merge_request_id=merge_request_id)


@transaction.atomic
def withdraw_change(*, merge_request_id: UUID) -> None:
    """Cancel a change that is not being merged; one that is, or has ended, goes its own way.

    Raises:
        NotFound: there is no such change.

    """
    if MergeRequest.try_transition(merge_request_id, to=MergeRequestStatus.CANCELED):
        announce(merge_request_changed, merge_request_id=merge_request_id)


@transaction.atomic
def tidy_changes(*, task_id: UUID) -> None:
    """Have the pull requests of a task's ended changes closed and their branches deleted, once each.

    A branch that a change under way still uses is left alone.
    """
    rows = MergeRequest.objects.filter(task_id=task_id).order_by("created_at")
    known = {row.branch: row for row in rows if row.evidence is not None}
    used = {row.branch for row in rows if row.status not in MergeRequest.final_statuses()}
    for branch, row in known.items():
        if branch in used or row.tidy_at is not None:
            continue
        MergeRequest.objects.filter(pk=row.pk).update(tidy_at=timezone.now(), attempts=0, poll_at=None)
        enqueue(tasks.reconcile_merge_request, merge_request_id=str(row.pk))


def _check(*, project_id: UUID, task_id: UUID, branch: str, base_sha: str, head_sha: str) -> Project:
    project = lock_project(project_id)
    problems = validation.change_problems(branch=branch, shas={"base_sha": base_sha, "head_sha": head_sha})
    if branch == project.default_branch:
        problems["branch"] = "is the default branch"
    if not Task.objects.filter(pk=task_id, project_id=project_id).exists():
        problems["task"] = "is not a task of this project"
    validation.refuse(problems)
    return project
