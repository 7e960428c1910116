"""``Idempotency-Key``: a repeated request gets the first answer and has no second effect."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from apps.errors import Conflict, Invalid
from apps.rest import restriction_of

#: Everybody's, so it is named like Django names the model of people: by its label.
MODEL = "projects.IdempotencyRecord"
HEADER = "Idempotency-Key"
#: Tells the schema that the view takes the header.
MARK = "takes_idempotency_key"
REPLAYED_HEADER = "Idempotent-Replayed"
_MAX_KEY_CHARACTERS = 200

View = Callable[..., Response]


class IdempotencyKeyReused(Conflict):
    """This Idempotency-Key was used for a different request."""

    code = "idempotency_key_reused"


def idempotent(view: View, *, shown_once: str = "") -> View:
    """Make a creating view answer a repeat of its ``Idempotency-Key`` with the first answer.

    Args:
        view: the method that creates.
        shown_once: fields of the answer, by spaces, that must not be kept; a repeat shows them empty.

    The record and the effect are one transaction: of two simultaneous
    requests the second waits for the first at the unique constraint. An error
    is not recorded, so a corrected or later repeat is carried out.
    """

    @wraps(view)
    def wrapper(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER, "")
        if not key or request.method in SAFE_METHODS:
            return view(self, request, *args, **kwargs)
        if len(key) > _MAX_KEY_CHARACTERS or not key.isprintable():
            raise Invalid(
                f"{HEADER} must be at most {_MAX_KEY_CHARACTERS} printable characters.",
                details={HEADER: "invalid"},
            )
        digest = _digest(request)
        try:
            with transaction.atomic():
                record = _records().create(
                    principal=_principal(request),
                    key=key,
                    method=request.method or "",
                    path=request.path[:500],
                    request_sha256=digest,
                )
                response = view(self, request, *args, **kwargs)
                record.response_status = response.status_code
                hidden = dict.fromkeys(shown_once.split(), "")
                kept = {**response.data, **hidden} if hidden else response.data
                record.response_body = json.loads(json.dumps(kept, default=str))
                record.save(update_fields=["response_status", "response_body"])
                return response
        except IntegrityError:
            return _first_answer(request, key, digest)

    setattr(wrapper, MARK, True)
    return wrapper


def _first_answer(request: Request, key: str, digest: str) -> Response:
    record = _records().filter(principal=_principal(request), key=key).first()
    if record is None or record.response_status is None:
        raise Conflict("The request could not be carried out because of a simultaneous one; repeat it.")
    if record.request_sha256 != digest:
        raise IdempotencyKeyReused()
    return Response(record.response_body, status=record.response_status, headers={REPLAYED_HEADER: "true"})


def _records() -> Any:
    return apps.get_model(MODEL)._default_manager


def _principal(request: Request) -> str:
    worker = restriction_of(request)
    return f"worker:{getattr(worker, 'pk', '')}" if worker is not None else f"user:{request.user.pk}"


def _digest(request: Request) -> str:
    # Keyed: a body may be a secret that is short enough to be guessed.
    body = json.dumps(request.data, sort_keys=True, default=str)
    words = f"{request.method} {request.path}\n{body}"
    return salted_hmac("idempotency", words, algorithm="sha256").hexdigest()
