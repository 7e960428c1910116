"""Stored snapshots: their bundles, files and changes, for people who may see their worker."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from typing_extensions import override

from apps import admin_display as display
from apps import storage
from apps.admin_base import Section, first_of, refusal
from apps.errors import OrchestratorError
from apps.workers import snapshot_reading
from apps.workers.admin.rows import TaskRowAdmin
from apps.workers.models import Snapshot, Worker

MAX_SNAPSHOTS_SHOWN = 20


def download_link(snapshot: Snapshot) -> str:
    """Link to a snapshot's bundle; `manage.py restore_workspace` makes a checkout of it."""
    address = reverse("admin:workers_snapshot_download", args=[snapshot.pk])
    return format_html('<a class="text-link" href="{}" download>{}</a>', address, _("Download"))


def contents_link(snapshot: Snapshot) -> str:
    """Link to the page of a snapshot's files."""
    address = reverse("admin:workers_snapshot_files", args=[snapshot.pk])
    return format_html('<a class="text-link" href="{}">{}</a>', address, _("Files and changes"))


def snapshots_section(worker: Worker) -> Section:
    """Return the table of the bundles that were stored of a worker, the latest first."""
    latest, more = first_of(worker.snapshots.order_by("-created_at"), MAX_SNAPSHOTS_SHOWN)
    rows = [
        (
            display.moment(snapshot.created_at),
            snapshot.reason,
            display.code(snapshot.branch),
            display.sha(snapshot.head_sha),
            display.size(snapshot.size_bytes),
            display.sha(snapshot.sha256),
            format_html("{} · {}", contents_link(snapshot), download_link(snapshot)),
        )
        for snapshot in latest
    ]
    columns = (_("Uploaded"), _("Reason"), _("Branch"), _("Head"), _("Size"), _("Checksum"), _("Bundle"))
    return Section(title=_("Snapshots"), headers=columns, rows=rows, more=more)


class SnapshotDownloads(TaskRowAdmin):
    """Pages from which snapshots can be downloaded."""

    @override
    def get_urls(self) -> list[URLPattern]:
        """Add download and files before the pages of single rows."""
        download = self.admin_site.admin_view(self.download_snapshot)
        files = self.admin_site.admin_view(self.snapshot_files)
        return [
            path("snapshots/<uuid:snapshot_id>/download/", download, name="workers_snapshot_download"),
            path("snapshots/<uuid:snapshot_id>/files/", files, name="workers_snapshot_files"),
            *super().get_urls(),
        ]

    def _snapshot(self, request: HttpRequest, snapshot_id: UUID) -> Snapshot:
        snapshot = get_object_or_404(Snapshot.objects.select_related("worker"), pk=snapshot_id)
        if not self.has_view_permission(request, snapshot.worker):
            raise PermissionDenied
        return snapshot

    def snapshot_files(self, request: HttpRequest, snapshot_id: UUID) -> HttpResponse:
        """Show what is in a snapshot and what was changed; with ``?path=`` the beginning of one file.

        Raises:
            Http404: there is no such snapshot.

        """
        snapshot = self._snapshot(request, snapshot_id)
        path_asked = request.GET.get("path", "")
        context: dict[str, Any] = {"path": path_asked, "problem": ""}
        try:
            if path_asked:
                context["text"] = snapshot_reading.read_file(snapshot, path_asked)
            else:
                context["contents"] = contents = snapshot_reading.read(snapshot)
                context["diff_lines"] = [(_kind_of(line), line) for line in contents.diff.splitlines()]
        except OrchestratorError as error:
            context["problem"] = refusal(error)
        context |= self.admin_site.each_context(request)
        context |= {"snapshot": snapshot, "opts": self.opts, "title": _("Files and changes")}
        context["worker_link"] = display.link("workers_worker", snapshot.worker_id)
        return TemplateResponse(request, "orchestrator/admin/snapshot.html", context)

    def download_snapshot(self, request: HttpRequest, snapshot_id: UUID) -> FileResponse:
        """Return the bundle of a snapshot, after its content was checked.

        Raises:
            Http404: there is no such snapshot, or its bundle was collected or damaged.

        """
        snapshot = self._snapshot(request, snapshot_id)
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


def _kind_of(line: str) -> str:
    """Name what a line of a diff is, for its color."""
    if line.startswith(("diff --git", "index ", "--- ", "+++ ", "new file", "deleted file", "Binary files")):
        return "head"
    return {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")
