"""The periodic entries: created if missing after migrations, then the operator's."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models.signals import post_migrate


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of the beat schedule."""

    name: str
    task: str
    every_seconds: int


ENTRIES: tuple[Entry, ...] = (
    Entry(name="sweep_graph", task="periodic.sweep_graph", every_seconds=5),
    Entry(name="sweep_workers", task="periodic.sweep_workers", every_seconds=5),
    Entry(name="sweep_infra", task="periodic.sweep_infra", every_seconds=5),
    Entry(name="sweep_provisioning", task="periodic.sweep_provisioning", every_seconds=5),
    Entry(name="retry_pending_provisioning", task="periodic.retry_pending_provisioning", every_seconds=300),
    Entry(name="probe_deployments", task="periodic.probe_deployments", every_seconds=60),
    Entry(name="server_sync", task="periodic.server_sync", every_seconds=60),
    Entry(name="health_check", task="periodic.health_check", every_seconds=120),
    Entry(name="backup_drill", task="periodic.backup_drill", every_seconds=3_600),
    Entry(name="sweep_projects", task="periodic.sweep_projects", every_seconds=5),
    Entry(name="github_sync", task="periodic.github_sync", every_seconds=300),
    Entry(name="sweep_bot", task="periodic.sweep_bot", every_seconds=5),
    Entry(name="sweep_chats", task="periodic.sweep_chats", every_seconds=5),
    Entry(name="tidy_chats", task="periodic.tidy_chats", every_seconds=3_600),
    Entry(name="sweep_hooks", task="periodic.sweep_hooks", every_seconds=5),
    Entry(name="summarize_documents", task="periodic.summarize_documents", every_seconds=600),
    Entry(name="bound_disks", task="periodic.bound_disks", every_seconds=20),
    Entry(name="image_gc", task="periodic.image_gc", every_seconds=86_400),
    Entry(name="workspace_gc", task="periodic.workspace_gc", every_seconds=86_400),
)


def create_missing_entries(entries: Iterable[Entry] = ENTRIES) -> int:
    """Create the entries that do not exist; an existing one is never touched.

    Returns:
        How many were created.

    """
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    from apps.periodic.models import PeriodicJob

    created_count = 0
    for entry in entries:
        # A job that never ran is shown as such.
        PeriodicJob.objects.get_or_create(name=entry.name)
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=entry.every_seconds, period=IntervalSchedule.SECONDS
        )
        _, created = PeriodicTask.objects.get_or_create(
            name=entry.name,
            # A tick that could not be taken in time is superseded by the next one.
            defaults={"task": entry.task, "interval": interval, "expire_seconds": entry.every_seconds * 2},
        )
        created_count += created
    return created_count


def _after_migrations(**_: Any) -> None:
    create_missing_entries()


def connect() -> None:
    """Run ``create_missing_entries`` after the scheduler's own migrations."""
    post_migrate.connect(
        _after_migrations, sender=apps.get_app_config("django_celery_beat"), dispatch_uid="beat_entries"
    )
