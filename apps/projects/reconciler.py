"""Brings projects and proposed changes from what their rows say should be to what is; one step per call.

Every call counts itself on the row before it acts. What is unavailable is
tried again by the sweep until the row's deadline; every other error is final.
"""

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.errors import Invalid, OrchestratorError, Unavailable
from apps.failures import Failure, FailureKind
from apps.projects.forge.base import BaseMoved, MergeConflict
from apps.projects.integration import merge_change, open_change
from apps.projects.models import MergeRequest, MergeRequestStatus, Project, ProjectStatus
from apps.projects.scaffold import scaffold
from apps.projects.signals import announce, merge_request_changed, project_changed
from apps.projects.tools import Tools

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 40
_WORKED_ON: Final = (MergeRequestStatus.PENDING, MergeRequestStatus.MERGING)


class AttemptsExhausted(OrchestratorError):
    """Every attempt ended without an answer."""

    code = "attempts_exhausted"


def reconcile_project(*, project_id: UUID, tools: Tools) -> None:
    """Scaffold a project whose row asks for it; any other project is left alone.

    Raises:
        IllegalTransition: somebody else moved the project meanwhile.

    """
    rows = Project.objects.filter(pk=project_id, status=ProjectStatus.SCAFFOLDING)
    if not rows.update(scaffold_attempts=F("scaffold_attempts") + 1, heartbeat_at=tools.now()):
        return
    project = Project.objects.get(pk=project_id)
    try:
        if project.scaffold_attempts > MAX_ATTEMPTS:
            raise AttemptsExhausted(details={"attempts": MAX_ATTEMPTS})
        facts = scaffold(project, tools)
    except OrchestratorError as error:
        if _may_wait(error, deadline_at=project.deadline_at, now=tools.now()):
            logger.warning("Scaffold of project %s waits: %s", project_id, error.message)
            return
        failure = failure_of(error, stage="scaffold").as_json()
        Project.transition(project_id, to=ProjectStatus.FAILED, failure=failure, deadline_at=None)
    else:
        Project.transition(project_id, to=ProjectStatus.ACTIVE, failure=None, deadline_at=None, **facts)
    announce(project_changed, project_id=project_id)


def reconcile_merge_request(*, merge_request_id: UUID, tools: Tools) -> None:
    """Inspect or merge a proposed change whose row asks for it; any other one is left alone.

    Raises:
        IllegalTransition: somebody else moved the change meanwhile.

    """
    rows = MergeRequest.objects.filter(pk=merge_request_id, status__in=_WORKED_ON)
    if not rows.update(attempts=F("attempts") + 1, heartbeat_at=tools.now()):
        return
    change = MergeRequest.objects.select_related("project").get(pk=merge_request_id)
    merging = change.status == MergeRequestStatus.MERGING
    try:
        if change.attempts > MAX_ATTEMPTS:
            raise AttemptsExhausted(details={"attempts": MAX_ATTEMPTS})
        moved = _merge(change, tools) if merging else _open(change, tools)
    except OrchestratorError as error:
        if _may_wait(error, deadline_at=change.deadline_at, now=tools.now()):
            logger.warning("Merge request %s waits: %s", merge_request_id, error.message)
            return
        _end(change, error)
        moved = True
    if moved:
        announce(merge_request_changed, merge_request_id=merge_request_id)


def failure_of(error: OrchestratorError, *, stage: str) -> Failure:
    """Return the record of an error: the work's own, or ours and worth another try or not."""
    product = isinstance(error, Invalid | MergeConflict)
    return Failure(
        stage=stage,
        kind=FailureKind.PRODUCT if product else FailureKind.PLATFORM,
        code=error.error_code,
        message=error.message,
        retryable=isinstance(error, Unavailable | BaseMoved | AttemptsExhausted),
        details=error.details,
    )


def _may_wait(error: OrchestratorError, *, deadline_at: datetime | None, now: datetime) -> bool:
    return isinstance(error, Unavailable) and deadline_at is not None and now < deadline_at


def _open(change: MergeRequest, tools: Tools) -> bool:
    opened = open_change(change, tools)
    MergeRequest.transition(change.pk, to=MergeRequestStatus.OPEN, **asdict(opened))
    return True


def _merge(change: MergeRequest, tools: Tools) -> bool:
    # Two merges of one project would otherwise race to write its head.
    with advisory_lock("project", change.project_id) as obtained:
        if not obtained:
            return False
        merged = merge_change(change, tools)
        with transaction.atomic():
            MergeRequest.transition(
                change.pk,
                to=MergeRequestStatus.MERGED,
                merge_sha=merged.merge_sha,
                merged_at=timezone.now(),
                failure=None,
            )
            Project.objects.filter(pk=change.project_id).update(**asdict(merged.head))
        announce(project_changed, project_id=change.project_id)
    return True


def _end(change: MergeRequest, error: OrchestratorError) -> None:
    refused = isinstance(error, Invalid | BaseMoved | MergeConflict)
    status = MergeRequestStatus.REFUSED if refused else MergeRequestStatus.CRASHED
    stage = "merge" if change.status == MergeRequestStatus.MERGING else "integration"
    failure = failure_of(error, stage=stage).as_json()
    MergeRequest.transition(change.pk, to=status, expect=change.status, failure=failure)
