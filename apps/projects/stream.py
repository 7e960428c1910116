"""A task's timeline as Server-Sent Events; a client that reconnects continues after what it saw."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.errors import Invalid
from apps.projects import selectors
from apps.projects.models import Task
from apps.projects.serializers import TaskEventSerializer
from apps.rest import owned

_POLL_SECONDS = 0.3
#: A comment this often, so that proxies and clients know that the stream lives.
_COMMENT_SECONDS = 15.0
_BATCH = 200


class _AnyAccept(BaseContentNegotiation):
    """Answers in the one form there is, whatever the client says it accepts."""

    def select_parser(self, _request: Request, parsers: Any) -> Any:
        """Return the first parser."""
        return parsers[0]

    def select_renderer(self, _request: Request, renderers: Any, _suffix: str | None = None) -> Any:
        """Return the renderer of errors; the stream itself needs none."""
        renderer: BaseRenderer = renderers[0]
        return renderer, renderer.media_type


class TaskEventStreamView(APIView):
    """Live timeline of one task."""

    content_negotiation_class = _AnyAccept
    commands: ClassVar = {"get": ("engineering.status", "deploy.status")}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "Last-Event-ID", int, OpenApiParameter.HEADER, description="Continue after this event."
            )
        ],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request, task_id: UUID) -> StreamingHttpResponse:
        """Stream the events: ``id`` is the event's seq, ``event`` its kind, ``data`` its JSON."""
        tasks = owned(request, Task.objects.all(), by="project__owner_id")
        task = get_object_or_404(tasks, pk=task_id)
        response = StreamingHttpResponse(
            _events(task.pk, after_seq=_position(request)), content_type="text/event-stream"
        )
        response["Cache-Control"] = "no-cache"
        response["X-Accel-Buffering"] = "no"
        return response


def _position(request: Request) -> int:
    said = request.headers.get("Last-Event-ID", "0")
    if not said.isdigit() or len(said) > 9:
        raise Invalid("Last-Event-ID must be the id of an event.", details={"Last-Event-ID": said[:40]})
    return int(said)


def _read(task_id: UUID, after_seq: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the events after a position, and whether more may come."""
    # The status first: a final task gets no events after the moment it became final.
    status = Task.objects.values_list("status", flat=True).get(pk=task_id)
    rows = selectors.list_events(task_id=task_id, after_seq=after_seq, limit=_BATCH)
    events = [dict(event) for event in TaskEventSerializer(rows, many=True).data]
    close_old_connections()
    return events, len(events) == _BATCH or status not in Task.final_statuses()


async def _events(task_id: UUID, *, after_seq: int) -> AsyncIterator[str]:
    silence = 0.0
    yield "retry: 1000\n\n"
    while True:
        events, more = await sync_to_async(_read)(task_id, after_seq)
        for event in events:
            after_seq = event["seq"]
            body = json.dumps(event, ensure_ascii=False)
            yield f"id: {after_seq}\nevent: {event['kind']}\ndata: {body}\n\n"
        if not more:
            yield f"id: {after_seq}\nevent: end\ndata: {{}}\n\n"
            return
        silence = 0.0 if events else silence + _POLL_SECONDS
        if silence >= _COMMENT_SECONDS:
            silence = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(_POLL_SECONDS)
