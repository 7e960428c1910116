"""Who did what by the API: a line in the same log that the admin writes, and so in the row's own history."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from apps.audit import note
from apps.idempotency import REPLAYED_HEADER
from apps.rest import Restricted

_FLAGS: Final = {"POST": ADDITION, "PUT": CHANGE, "PATCH": CHANGE, "DELETE": DELETION}
_PREFIX: Final = "/api/"

View = Callable[..., HttpResponseBase]


class ApiAuditMiddleware(MiddlewareMixin):
    """Writes a line for all that a person changed by the API; what agents do is in rows of their own."""

    def process_view(
        self, request: HttpRequest, view: View, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> HttpResponseBase | None:
        """Answer what may change something, and write down in the same transaction what it changed."""
        if request.method not in _FLAGS or not request.path.startswith(_PREFIX) or _is_worker(request):
            return None
        with transaction.atomic():
            response = view(request, *args, **kwargs)
            is_repeated = REPLAYED_HEADER in response.headers
            # A request that was refused changed nothing.
            if not is_repeated and 200 <= response.status_code < 300:
                _write(request, response)
        return response


def _is_worker(request: HttpRequest) -> bool:
    # Large files come by these ways, and no transaction is to wait for them.
    return request.headers.get("Authorization", "").startswith("Worker ")


def _write(request: HttpRequest, response: HttpResponseBase) -> None:
    # The REST framework tells the request whom its credentials stand for. A worker's stand for its owner.
    person: Any = request.user
    if not person.is_authenticated or isinstance(getattr(request, "auth", None), Restricted):
        return
    model, named, made = _subject(request, response)
    row_id = named or made
    note(
        person_id=person.pk,
        said=f"API: {request.method} {request.path}",
        model=model,
        row_id=row_id,
        flag=CHANGE if named and request.method == "POST" else _FLAGS[str(request.method)],
    )


def _subject(request: HttpRequest, response: HttpResponseBase) -> tuple[type[Model] | None, str, str]:
    """Return what was changed: its model, its id as the address names it, its id as the answer names it."""
    match = request.resolver_match
    rows = getattr(getattr(getattr(match, "func", None), "cls", None), "queryset", None)
    if match is None or rows is None:
        return None, "", ""
    data = getattr(response, "data", None)
    made = str(data.get("id", "")) if isinstance(data, dict) else ""
    return rows.model, str(match.kwargs.get("pk", "")), made
