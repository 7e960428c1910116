"""``POST /webhooks/github``: GitHub's news, signed with GITHUB_WEBHOOK_SECRET; they only shorten a wait.

What is true is read from the host by whoever looks at the row. So a delivery may
be lost, late, doubled or out of order, and a forged one gets no further than its
signature.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.projects import composition
from apps.projects.services import hints

logger = logging.getLogger(__name__)

#: GitHub sends up to 25 MB; what we listen to is some 30 KB.
MAX_BODY_BYTES: Final = 1_048_576
_HEADER_CHARACTERS: Final = 200


@csrf_exempt
@require_POST
def github(request: HttpRequest) -> JsonResponse:
    """Take one delivery: 404 without a secret in the settings, 401 without its signature."""
    if not settings.GITHUB_WEBHOOK_SECRET:
        return _answer(404, "not_found", "There is no such webhook")
    try:
        body = _body(request)
    except RequestDataTooBig:
        return _answer(413, "body_too_large", "The delivery is too large")
    if not is_signed(body, request.headers.get("X-Hub-Signature-256", ""), settings.GITHUB_WEBHOOK_SECRET):
        return _answer(401, "bad_signature", "The signature is missing or is not of this body")
    payload = _payload(request, body)
    if payload is None:
        return _answer(400, "bad_delivery", "Set the webhook's content type to application/json")
    event, delivery = (
        request.headers.get(name, "")[:_HEADER_CHARACTERS] for name in ("X-GitHub-Event", "X-GitHub-Delivery")
    )
    try:
        return JsonResponse({"status": _take(event, delivery, body, payload)}, status=202)
    except DatabaseError as error:
        logger.warning("A webhook delivery was lost: %s", type(error).__name__)
        return _answer(503, "unavailable", "The database does not answer")


def is_signed(body: bytes, header: str, secret: str) -> bool:
    """Tell, in a time that says nothing, whether a header is the signature of a body.

    Args:
        body: as it came, before anything read it.
        header: ``sha256=`` and the hexadecimal digest.
        secret: that only the host and we know.

    """
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={wanted}".encode(), header.encode("utf-8", "replace"))


def _body(request: HttpRequest) -> bytes:
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    body = request.body
    if len(body) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    return body


def _payload(request: HttpRequest, body: bytes) -> Mapping[str, Any] | None:
    if request.content_type != "application/json":
        return None
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _take(event: str, delivery: str, body: bytes, payload: Mapping[str, Any]) -> str:
    deliveries = composition.get_deliveries()
    is_known = deliveries.is_known(delivery, event, body)
    if is_known:
        return "duplicate"
    repository = _part(payload, "repository").get("id")
    project_id = hints.find_project(repository_id=str(repository)) if isinstance(repository, int) else None
    # While the broker's server is away nothing is sent, which would take seconds: the sweep comes soon.
    if project_id is None or not _hint(event, payload, project_id, is_sent=is_known is not None):
        return "ignored"
    deliveries.remember(delivery, event, body)
    return "accepted"


def _hint(event: str, payload: Mapping[str, Any], project_id: UUID, *, is_sent: bool) -> int:
    """Bring the next look forward at every row that an event may be about; return how many there were."""
    about = _part(payload, event)
    sha, number = _text(about, "head_sha"), None
    run_id, title, deployed = None, "", ""
    if event == "pull_request":
        sha, number = _text(_part(about, "head"), "sha"), about.get("number")
    elif event == "workflow_run":
        run_id, title = about.get("id"), _text(about, "display_title")
    elif event == "workflow_job":
        run_id = about.get("run_id")
    elif event == "deployment_status":
        deployed = _text(_part(payload, "deployment"), "sha")
    changes = hints.hint_change(
        project_id=project_id, head_sha=sha, pull_request=_number(number), is_sent=is_sent
    )
    runs = hints.hint_dispatch(
        project_id=project_id, run_id=_number(run_id), title=title, sha=deployed, is_sent=is_sent
    )
    return changes + runs


def _part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = payload.get(name)
    return found if isinstance(found, dict) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    found = part.get(name)
    return found[:_HEADER_CHARACTERS] if isinstance(found, str) and "\0" not in found else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**63 else None


def _answer(status: int, kind: str, message: str) -> JsonResponse:
    return JsonResponse({"error": kind, "message": message, "details": {}}, status=status)
