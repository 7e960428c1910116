"""Pages of documents and of how far they were read; both are written by the reader alone."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.admin_base import HistoryAdmin
from apps.documents.models import Document, DocumentIndex


@admin.register(Document)
class DocumentAdmin(HistoryAdmin):
    """Documents of projects."""

    list_display = ("title", "path", "project", "summary_kind", "updated_at")
    list_filter = ("summary_kind", "updated_at")
    list_select_related = ("project",)
    search_fields = ("title", "path", "project__slug", "project__name")
    ordering = ("-updated_at",)
    fields = (
        *("project", "path", "title", "summary", "summary_kind", "summary_model", "summary_attempts"),
        *("text", "blob_sha", "created_at", "updated_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out what a list does not show."""
        return super().get_queryset(request).defer("search")


@admin.register(DocumentIndex)
class DocumentIndexAdmin(HistoryAdmin):
    """How far the documents of each project were read."""

    list_display = ("project", "documents", "left_out", "problem", "read_at")
    list_select_related = ("project",)
    search_fields = ("project__slug", "project__name")
    ordering = ("-read_at",)
    fields = (
        *("project", "commit_sha", "wanted_sha", "documents", "left_out"),
        *("attempts", "problem", "read_at", "looked_at"),
    )
