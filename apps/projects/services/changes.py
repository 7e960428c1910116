"""Writes proposed changes: what a worker made and wants to become part of the default branch."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps import storage
from apps.enqueue import enqueue
from apps.projects import composition, tasks, validation
from apps.projects.models import MergeRequest, MergeRequestStatus, Task
from apps.projects.services.projects import lock_project
from apps.projects.signals import announce, merge_request_changed


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
    _check(project_id=project_id, task_id=task_id, branch=branch, base_sha=base_sha, head_sha=head_sha)
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
            "deadline_at": timezone.now() + composition.get_limits().merge_deadline,
        },
    )
    if created:
        enqueue(tasks.reconcile_merge_request, merge_request_id=str(change.pk))
    return change.pk


@transaction.atomic
def request_merge(*, merge_request_id: UUID) -> None:
    """Ask for a verified change to be merged; asking twice is asking once.

    Raises:
        IllegalTransition: it is not open.
        NotFound: there is no such change.

    """
    asked = (MergeRequestStatus.MERGING, MergeRequestStatus.MERGED)
    if MergeRequest.objects.filter(pk=merge_request_id, status__in=asked).exists():
        return
    MergeRequest.transition(
        merge_request_id,
        to=MergeRequestStatus.MERGING,
        attempts=0,
        heartbeat_at=None,
        deadline_at=timezone.now() + composition.get_limits().merge_deadline,
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


def _check(*, project_id: UUID, task_id: UUID, branch: str, base_sha: str, head_sha: str) -> None:
    project = lock_project(project_id)
    problems = validation.change_problems(branch=branch, shas={"base_sha": base_sha, "head_sha": head_sha})
    if branch == project.default_branch:
        problems["branch"] = "is the default branch"
    if not Task.objects.filter(pk=task_id, project_id=project_id).exists():
        problems["task"] = "is not a task of this project"
    validation.refuse(problems)
