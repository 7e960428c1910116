"""Writes dispatched workflows: the request for one, and for its end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Unavailable
from apps.projects import composition, tasks
from apps.projects.models import Dispatch, DispatchStatus
from apps.projects.signals import announce, dispatch_changed


class DispatchUnderWay(Unavailable):
    """Another workflow of this project has not ended yet."""

    code = "dispatch_under_way"


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatchRequest:
    """One run of a workflow for one release."""

    project_id: UUID
    task_id: UUID
    deployment_id: UUID
    workflow: str  # file name below .github/workflows
    environment: str
    ref: str  # branch
    sha: str
    is_rollback: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    secret_keys: Sequence[str] = ()  # of the project's secrets that the run needs
    access: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  # secrets by which it reaches the server


@transaction.atomic
def request_dispatch(*, idempotency_key: str, request: DispatchRequest) -> UUID:
    """Ask for a workflow to be run once; asking twice with one key is asking once.

    Raises:
        DispatchUnderWay: another one of this project has not ended.

    """
    known = Dispatch.objects.filter(idempotency_key=idempotency_key).first()
    if known is not None:
        return known.pk
    try:
        with transaction.atomic():
            row = Dispatch.objects.create(
                idempotency_key=idempotency_key,
                project_id=request.project_id,
                task_id=request.task_id,
                deployment_id=request.deployment_id,
                workflow=request.workflow,
                environment=request.environment,
                ref=request.ref,
                sha=request.sha,
                is_rollback=request.is_rollback,
                inputs=dict(request.inputs),
                secret_keys=sorted(request.secret_keys),
                access=json.dumps(dict(request.access)),
                deadline_at=timezone.now() + composition.workflow_deadline(),
            )
    except IntegrityError as error:
        raise DispatchUnderWay() from error
    enqueue(tasks.reconcile_dispatch, dispatch_id=str(row.pk))
    return row.pk


@transaction.atomic
def cancel_dispatch(*, dispatch_id: UUID) -> None:
    """Ask for the end of a workflow; one that has ended is left alone, one not begun ends at once."""
    now = timezone.now()
    if Dispatch.try_transition(
        dispatch_id,
        to=DispatchStatus.CANCELED,
        expect=DispatchStatus.PENDING,
        access="{}",
        finished_at=now,
    ):
        announce(dispatch_changed, dispatch_id=dispatch_id)
        return
    if Dispatch.try_transition(
        dispatch_id,
        to=DispatchStatus.CANCELING,
        poll_at=None,
        looks=0,
    ):
        enqueue(tasks.reconcile_dispatch, dispatch_id=str(dispatch_id))
        announce(dispatch_changed, dispatch_id=dispatch_id)
