"""``ETag`` and ``If-Match``: whoever edits what somebody else has edited meanwhile is told so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import Model
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response


class Changed(APIException):
    """Somebody changed the row since the requester looked."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "changed"
    default_detail = "Somebody changed it since you looked; read it again."


def etag(row: Any) -> str:
    """Return the version of a row that has ``updated_at``."""
    return f'"{int(row.updated_at.timestamp() * 1_000_000)}"'


def tagged(row: Model, data: Any) -> Response:
    """Answer with a row and its version."""
    return Response(data, headers={"ETag": etag(row)})


@contextmanager
def unchanged(request: Request, row: Model) -> Iterator[None]:
    """Let an edit happen only if the row is as ``If-Match`` says; without the header it happens anyway.

    The row is locked until the edit is written, so of two with the same version one is told.

    Raises:
        Changed: it is not.

    """
    wanted = request.headers.get("If-Match", "").strip()
    with transaction.atomic():
        if wanted not in {"", "*"}:
            current = type(row)._default_manager.select_for_update(no_key=True).filter(pk=row.pk).first()
            if current is None or etag(current) not in {tag.strip() for tag in wanted.split(",")}:
                raise Changed()
        yield


class VersionedMixin:
    """A view whose rows several people may edit."""

    versioned = True

    def retrieve(self, _request: Request, **_: str) -> Response:
        """Return a row with its version."""
        view: Any = self
        row = view.get_object()
        return tagged(row, view.get_serializer(row).data)
