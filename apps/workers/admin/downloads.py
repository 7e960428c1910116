"""Stored snapshots as files, for people who may see their worker."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from typing_extensions import override

from apps import admin_display as display
from apps import storage
from apps.admin_base import Section
from apps.workers.admin.rows import TaskRowAdmin
from apps.workers.models import Snapshot, Worker

MAX_SNAPSHOTS_SHOWN = 100


def download_link(snapshot: Snapshot) -> str:
    """Link to a snapshot's bundle; `manage.py restore_workspace` makes a checkout of it."""
    address = reverse("admin:workers_snapshot_download", args=[snapshot.pk])
    return format_html('<a class="text-link" href="{}" download>{}</a>', address, _("Download"))


def snapshots_section(worker: Worker) -> Section:
    """Return the table of the bundles that were stored of a worker, the latest first."""
    rows = [
        (
            display.moment(snapshot.created_at),
            snapshot.reason,
            display.code(snapshot.branch),
            display.sha(snapshot.head_sha),
            display.size(snapshot.size_bytes),
            display.sha(snapshot.sha256),
            download_link(snapshot),
        )
        for snapshot in worker.snapshots.order_by("-created_at")[:MAX_SNAPSHOTS_SHOWN]
    ]
    columns = (_("Uploaded"), _("Reason"), _("Branch"), _("Head"), _("Size"), _("Checksum"), _("Bundle"))
    return Section(title=_("Snapshots"), headers=columns, rows=rows)


class SnapshotDownloads(TaskRowAdmin):
    """Pages from which snapshots can be downloaded."""

    @override
    def get_urls(self) -> list[URLPattern]:
        """Add the download before the pages of single rows."""
        view = self.admin_site.admin_view(self.download_snapshot)
        own = path("snapshots/<uuid:snapshot_id>/download/", view, name="workers_snapshot_download")
        return [own, *super().get_urls()]

    def download_snapshot(self, request: HttpRequest, snapshot_id: UUID) -> FileResponse:
        """Return the bundle of a snapshot, after its content was checked.

        Raises:
            Http404: there is no such snapshot, or its bundle was collected or damaged.

        """
        snapshot = get_object_or_404(Snapshot.objects.select_related("worker"), pk=snapshot_id)
        if not self.has_view_permission(request, snapshot.worker):
            raise PermissionDenied
        try:
            bundle = storage.open_bundle(snapshot.name, sha256=snapshot.sha256)
        except (storage.BundleMissing, storage.BundleDamaged) as error:
            raise Http404(error.message) from error
        return FileResponse(
            bundle,
            as_attachment=True,
            filename=f"worker-{str(snapshot.worker_id)[:8]}-{snapshot.reason}-{snapshot.head_sha[:12]}.bundle",
            content_type="application/octet-stream",
        )
