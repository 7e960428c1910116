"""REST for a worker's own token: its workspace, its snapshots, its words."""

import io
from typing import Any, BinaryIO, ClassVar, cast
from uuid import UUID

from django.conf import settings
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps import storage
from apps.errors import Invalid
from apps.idempotency import idempotent
from apps.rest import WORKERS_ONLY, BodyParser
from apps.workers import messages, snapshots
from apps.workers.models import Worker
from apps.workers.serializers import (
    SnapshotSerializer,
    WorkerMessageAcceptedSerializer,
    WorkerMessageSerializer,
)
from worker_image import contract

_IDEMPOTENCY_KEY = "Idempotency-Key"
_MAX_KEY_CHARACTERS = 200


class RawParser(BaseParser):
    """Hands the request's body over as a stream, unread."""

    media_type = "application/octet-stream"

    def parse(self, stream: Any, *_media_type: Any, **_context: Any) -> Any:
        """Return the stream itself."""
        return stream


def _header(name: str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required)


class WorkspaceView(APIView):
    """What a worker starts from."""

    commands: ClassVar = {"get": WORKERS_ONLY}

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            204: OpenApiResponse(description="This worker has no workspace."),
        }
    )
    def get(self, request: Request) -> FileResponse | Response:
        """Return the git bundle of the base branch."""
        worker = cast(Worker, request.auth)
        if not worker.workspace_name:
            return Response(status=status.HTTP_204_NO_CONTENT)
        bundle = storage.open_bundle(worker.workspace_name, sha256=worker.workspace_sha256)
        return FileResponse(
            bundle,
            content_type=RawParser.media_type,
            headers={
                contract.HEADER_BASE_SHA: worker.base_sha,
                contract.HEADER_BASE_BRANCH: worker.base_branch,
                contract.HEADER_BUNDLE_SHA256: worker.workspace_sha256,
            },
        )


class SnapshotsView(APIView):
    """What a worker made."""

    parser_classes = (RawParser,)
    commands: ClassVar = {"post": WORKERS_ONLY}
    open_to_viewers = True

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        parameters=[
            _header(contract.HEADER_REQUEST_ID, required=False),
            _header(contract.HEADER_HEAD_SHA),
            _header(contract.HEADER_BASE_SHA),
            _header(contract.HEADER_BRANCH),
            _header(contract.HEADER_REASON),
            _header(contract.HEADER_BUNDLE_SHA256),
        ],
        responses={201: SnapshotSerializer, 200: SnapshotSerializer},
    )
    def post(self, request: Request) -> Response:
        """Take in a git bundle; the same one again is answered 200."""
        limit = min(settings.PROJECTS_BUNDLE_MAX_BYTES, contract.MAX_BUNDLE_BYTES)
        announced = request.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > limit:
            return _too_large(snapshots.BundleTooLarge(details={"limit_bytes": limit}))
        try:
            snapshot, is_new = snapshots.store_snapshot(
                worker=cast(Worker, request.auth),
                words=_words(request),
                # REST framework hands over an empty dict when there is no body.
                content=cast(BinaryIO, request.data or io.BytesIO()),
                limit_bytes=limit,
            )
        except (snapshots.BundleTooLarge, snapshots.SnapshotQuota) as error:
            return _too_large(error)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(SnapshotSerializer(snapshot).data, status=code)


def _too_large(error: Invalid) -> Response:
    body = {"error": error.error_code, "message": error.message, "details": error.details}
    return Response(body, status=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)


def _words(request: Request) -> snapshots.SnapshotWords:
    said = request.headers
    turn = said.get(contract.HEADER_REQUEST_ID, "")
    try:
        turn_id = UUID(turn) if turn else None
    except ValueError as error:
        raise Invalid(
            "The turn's id is malformed.", details={contract.HEADER_REQUEST_ID: turn[:80]}
        ) from error
    return snapshots.SnapshotWords(
        turn_id=turn_id,
        reason=_reason(said.get(contract.HEADER_REASON, "")),
        branch=said.get(contract.HEADER_BRANCH, ""),
        base_sha=said.get(contract.HEADER_BASE_SHA, ""),
        head_sha=said.get(contract.HEADER_HEAD_SHA, ""),
        sha256=said.get(contract.HEADER_BUNDLE_SHA256, ""),
    )


def _reason(word: str) -> str:
    """Return a reason that a worker may give; ours alone is none of them."""
    return "" if word == snapshots.RESCUE else word


class MessagesView(APIView):
    """What a worker says to its person (``orchestrator respond``)."""

    parser_classes = (BodyParser,)
    commands: ClassVar = {"post": "respond"}
    open_to_viewers = True

    @extend_schema(request=WorkerMessageSerializer, responses={201: WorkerMessageAcceptedSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Keep a worker's words for its person; repeating an ``Idempotency-Key`` says nothing twice."""
        body = WorkerMessageSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if not isinstance(request.auth, Worker):
            raise Invalid("Only a worker can respond; sign in with a worker's token.")
        key = request.headers.get(_IDEMPOTENCY_KEY, "")
        message_id = messages.record(
            worker=request.auth, text=body.validated_data["message"], key=key[:_MAX_KEY_CHARACTERS]
        )
        return Response({"id": message_id}, status=status.HTTP_201_CREATED)
