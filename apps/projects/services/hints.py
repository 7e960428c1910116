"""News from a git host: they bring the next look at a row forward, and are never believed themselves."""

import uuid
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.enqueue import enqueue
from apps.projects import tasks
from apps.projects.models import (
    Dispatch,
    DispatchStatus,
    ForgeName,
    MergeRequest,
    MergeRequestStatus,
    Project,
)

_FOLLOWED: Final = (MergeRequestStatus.PROPOSED, MergeRequestStatus.MERGING)
_UNFINISHED: Final = (DispatchStatus.DISPATCHING, DispatchStatus.RUNNING, DispatchStatus.CANCELING)


def find_project(*, repository_id: str) -> uuid.UUID | None:
    """Return the project of a repository on GitHub, or None: most news are about nothing of ours."""
    rows = Project.objects.filter(forge=ForgeName.GITHUB, repository_id=repository_id)
    return rows.values_list("pk", flat=True).first()


@transaction.atomic
def hint_change(
    *, project_id: uuid.UUID, head_sha: str = "", pull_request: int | None = None, is_sent: bool = True
) -> int:
    """Have the proposed changes looked at now that have this head or this pull request.

    Args:
        project_id: whose.
        head_sha: a commit; empty names none.
        pull_request: a number.
        is_sent: False leaves the sending to the sweep, when the broker does not answer.

    Returns:
        How many there were.

    """
    named = Q(pk=None)
    if head_sha:
        named |= Q(head_sha=head_sha)
    if pull_request is not None:
        named |= Q(pull_request=pull_request)
    rows = MergeRequest.objects.filter(named, project_id=project_id, status__in=_FOLLOWED)
    found = list(rows.values_list("pk", flat=True))
    MergeRequest.objects.filter(pk__in=found).update(poll_at=timezone.now())
    for change_id in found if is_sent else ():
        enqueue(tasks.reconcile_merge_request, merge_request_id=str(change_id))
    return len(found)


@transaction.atomic
def hint_dispatch(
    *,
    project_id: uuid.UUID,
    run_id: int | None = None,
    title: str = "",
    sha: str = "",
    is_sent: bool = True,
) -> int:
    """Have the dispatched workflow looked at now that this run is of.

    Args:
        project_id: whose.
        run_id: of the host's run.
        title: the run's name, which holds the correlation id.
        sha: the released commit, where the news are about its deployment.
        is_sent: False leaves the sending to the sweep, when the broker does not answer.

    Returns:
        How many there were.

    """
    rows = Dispatch.objects.filter(project_id=project_id, status__in=_UNFINISHED)
    found = [
        row.pk
        for row in rows.only("pk", "run_id", "sha")
        if (run_id is not None and row.run_id == run_id)
        or (title and str(row.pk) in title)
        or (sha and row.sha == sha)
    ]
    Dispatch.objects.filter(pk__in=found).update(poll_at=timezone.now())
    for dispatch_id in found if is_sent else ():
        enqueue(tasks.reconcile_dispatch, dispatch_id=str(dispatch_id))
    return len(found)
