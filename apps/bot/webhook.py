"""``POST /webhooks/telegram``: Telegram's updates, with the header that only Telegram and we know.

Where updates are polled for, there is no such address. An update that could not
be taken is refused with 503, and Telegram brings it again.
"""

import hmac
import json
import logging
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.bot import composition, intake
from apps.bot.running import WEBHOOK

logger = logging.getLogger(__name__)

#: The longest message has 4,096 characters; what it quotes comes with it.
MAX_BODY_BYTES: Final = 262_144
SECRET_HEADER: Final = "X-Telegram-Bot-Api-Secret-Token"


@csrf_exempt
@require_POST
def telegram(request: HttpRequest) -> JsonResponse:
    """Take one update: 404 where there is no webhook, 401 without the secret."""
    if not composition.has_bot() or settings.TELEGRAM_MODE != WEBHOOK:
        return _answer(404, "not_found", "There is no such webhook")
    if not _is_telegram(request.headers.get(SECRET_HEADER, "")):
        return _answer(401, "bad_secret", "The secret is missing or is another one")
    try:
        update = _update(request)
    except RequestDataTooBig:
        return _answer(413, "body_too_large", "The update is too large")
    if update is None:
        return _answer(400, "bad_update", "This is no update")
    try:
        intake.take(update)
    except Error as error:
        logger.warning("An update was not taken: %s", type(error).__name__)
        return _answer(503, "unavailable", "The database does not answer")
    return JsonResponse({"status": "taken"})


def _is_telegram(header: str) -> bool:
    return hmac.compare_digest(header.encode("utf-8", "replace"), composition.webhook_secret().encode())


def _update(request: HttpRequest) -> dict[str, Any] | None:
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    body = request.body
    if len(body) > MAX_BODY_BYTES:
        raise RequestDataTooBig
    try:
        update = json.loads(body)
    except (ValueError, RecursionError):
        return None
    is_update = isinstance(update, dict) and isinstance(update.get("update_id"), int)
    return update if is_update else None


def _answer(status: int, kind: str, message: str) -> JsonResponse:
    return JsonResponse({"error": kind, "message": message, "details": {}}, status=status)
