"""The Celery tasks of this app: thin, by id, repeatable."""

import logging
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from celery import Task, shared_task
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.enqueue import advisory_lock, enqueue
from apps.lifecycle import IllegalTransition
from apps.periodic.recording import Run, recorded
from apps.projects import composition, dispatching, garbage, reconciler, repository_sync, selectors
from apps.projects.models import Dispatch, ForgeName, MergeRequest, Project, ProjectStatus

logger = logging.getLogger(__name__)

_LOOKED_AT: Final = timedelta(seconds=4)
_SYNC_SECONDS: Final = 240


@shared_task(name="projects.reconcile_project")
def reconcile_project(*, project_id: str) -> None:
    """Take one step with a project, unless somebody else is at it."""
    with advisory_lock("project", project_id) as obtained:
        forge = selectors.forge_of(project_id=UUID(project_id))
        if not obtained or forge is None:
            return
        try:
            reconciler.reconcile_project(project_id=UUID(project_id), tools=composition.get_tools(forge))
        except IllegalTransition:
            logger.info("Project %s was moved by someone else", project_id)


@shared_task(name="projects.reconcile_merge_request")
def reconcile_merge_request(*, merge_request_id: str) -> None:
    """Take one step with a proposed change, unless somebody else is at it."""
    with advisory_lock("merge_request", merge_request_id) as obtained:
        forge = selectors.forge_of(merge_request_id=UUID(merge_request_id))
        if not obtained or forge is None:
            return
        try:
            reconciler.reconcile_merge_request(
                merge_request_id=UUID(merge_request_id), tools=composition.get_tools(forge)
            )
        except IllegalTransition:
            logger.info("Merge request %s was moved by someone else", merge_request_id)


@shared_task(name="projects.reconcile_dispatch")
def reconcile_dispatch(*, dispatch_id: str) -> None:
    """Take one step with a dispatched workflow, unless somebody else is at it."""
    with advisory_lock("dispatch", dispatch_id) as obtained:
        forge = selectors.forge_of(dispatch_id=UUID(dispatch_id))
        if not obtained or forge is None:
            return
        try:
            again = dispatching.reconcile_dispatch(
                dispatch_id=UUID(dispatch_id), tools=composition.get_tools(forge)
            )
        except IllegalTransition:
            logger.info("Dispatch %s was moved by someone else", dispatch_id)
            return
    if again:
        enqueue(reconcile_dispatch, dispatch_id=dispatch_id)


@shared_task(name="projects.collect_garbage")
@recorded("workspace_gc", pause_seconds=60)
def collect_garbage(run: Run) -> None:
    """Delete stored bundles that nobody needs, old answers, and directories of killed processes."""
    run.count("bundles", len(garbage.collect(scratch=composition.scratch(), now=timezone.now())))


@shared_task(name="periodic.sweep_projects")
@recorded("sweep_projects")
def sweep_projects(run: Run) -> None:
    """Enqueue every row that waits for this app and was not looked at for a few seconds."""
    projects = Project.objects.filter(status=ProjectStatus.SCAFFOLDING)
    _enqueue_each(run, projects, reconcile_project, "project_id")
    changes = MergeRequest.objects.filter(reconciler.changes_to_look_at(now=timezone.now()))
    _enqueue_each(run, changes, reconcile_merge_request, "merge_request_id")
    due = Dispatch.objects.filter(dispatching.dispatches_to_look_at(now=timezone.now()))
    keys = due.order_by("created_at").values_list("pk", flat=True)
    run.each(keys, lambda key: enqueue(reconcile_dispatch, dispatch_id=str(key)), name="dispatches")


@shared_task(name="projects.sync_repositories", soft_time_limit=_SYNC_SECONDS)
@recorded("github_sync", pause_seconds=60)
def sync_repositories(run: Run) -> None:
    """Bring what is known of repositories in line with what the git hosts list."""
    for name in composition.list_forges():
        with run.item(name):
            # A forge of this machine that was never used has no directory yet.
            if name != ForgeName.LOCAL or repository_sync.is_in_use(name):
                repository_sync.sync_forge(composition.get_forge(name), name=name, run=run)


@shared_task(name="periodic.github_sync")
def github_sync() -> None:
    """Have the git hosts asked."""
    enqueue(sync_repositories)


@shared_task(name="periodic.workspace_gc")
def workspace_gc() -> None:
    """Have the garbage collected by a process that may write the storage."""
    enqueue(collect_garbage)


def _enqueue_each(run: Run, rows: QuerySet[Any], task: "Task[Any, Any]", argument: str) -> None:
    before = timezone.now() - _LOOKED_AT
    forgotten = Q(heartbeat_at__lt=before) | Q(heartbeat_at=None, status_changed_at__lt=before)
    keys = rows.filter(forgotten).order_by("status_changed_at").values_list("pk", flat=True)
    run.each(keys, lambda key: enqueue(task, **{argument: str(key)}), name=f"{argument.removesuffix('_id')}s")
