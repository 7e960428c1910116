"""REST for a worker's own token: the files that its person gave it, or that go with its task."""

from typing import ClassVar, cast
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps import storage
from apps.rest import WORKERS_ONLY
from apps.workers import attachments
from apps.workers.models import Worker
from apps.workers.serializers import AttachmentSerializer
from worker_image import contract


class AttachmentsView(APIView):
    """What a worker may fetch (``orchestrator attachment list``)."""

    commands: ClassVar = {"get": WORKERS_ONLY}

    @extend_schema(responses=AttachmentSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the files, the newest first: of a Product Owner's person, or of a developer's task."""
        found = attachments.list_for(cast(Worker, request.auth))
        return Response(AttachmentSerializer(found, many=True).data)


class AttachmentContentView(APIView):
    """One of these files (``orchestrator attachment get``)."""

    commands: ClassVar = {"get": WORKERS_ONLY}

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, attachment_id: UUID) -> FileResponse:
        """Return the content."""
        row = attachments.find_for(cast(Worker, request.auth), attachment_id)
        content = storage.open_bundle(row.name, sha256=row.sha256)
        return FileResponse(
            content,
            content_type="application/octet-stream",
            headers={contract.HEADER_BUNDLE_SHA256: row.sha256, "X-Content-Type-Options": "nosniff"},
        )
