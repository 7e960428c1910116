"""Errors as the API shows them: one table from kinds to HTTP."""

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from apps.errors import Conflict, Invalid, NotFound, OrchestratorError, Unavailable

logger = logging.getLogger(__name__)

_TEXT_CHARACTERS = 4_000
_NAME_CHARACTERS = 200
_NO_CHOICE = "This is none of the choices."

STATUS_OF: Mapping[type[OrchestratorError], int] = {
    Invalid: status.HTTP_400_BAD_REQUEST,
    NotFound: status.HTTP_404_NOT_FOUND,
    Conflict: status.HTTP_409_CONFLICT,
    Unavailable: status.HTTP_503_SERVICE_UNAVAILABLE,
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer any error as ``{"error": kind, "message": …, "details": {…}}``; bugs stay loud (None)."""
    if isinstance(error, OrchestratorError):
        return _ours(error)
    if isinstance(error, exceptions.ValidationError):
        return _answer(400, "invalid", "The request is not valid.", _fields(error.detail))
    error = _as_rest(error)
    response = drf_handler(error, context)
    if response is None or not isinstance(error, exceptions.APIException):
        return None
    code = error.get_codes() if isinstance(error.get_codes(), str) else error.default_code
    answer = _answer(response.status_code, str(code), str(error.detail), {})
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if header in response:
            answer[header] = response[header]
    return answer


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that does not exist: programs in the API's form of an error, people with a page."""
    if not request.path_info.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    body = {"error": "not_found", "message": "The API has no such path.", "details": {}}
    return JsonResponse(body, status=status.HTTP_404_NOT_FOUND)


class _BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = "The request's body is too large."


#: What Django raises, in REST framework's words.
_DJANGOS: Mapping[type[Exception], type[exceptions.APIException]] = {
    Http404: exceptions.NotFound,
    DjangoPermissionDenied: exceptions.PermissionDenied,
    RequestDataTooBig: _BodyTooLarge,
}


def _as_rest(error: Exception) -> Exception:
    for kind, own in _DJANGOS.items():
        if isinstance(error, kind):
            return own()
    return error


def _ours(error: OrchestratorError) -> Response:
    for kind, code in STATUS_OF.items():
        if isinstance(error, kind):
            return _answer(code, error.error_code, error.message, error.details)
    logger.error("An error of no kind reached the API: %s", error)
    return _answer(500, error.error_code, error.message, {})


def _answer(code: int, kind: str, message: str, details: Mapping[str, Any]) -> Response:
    body = {"error": kind, "message": _sendable(message), "details": _sendable(dict(details))}
    return Response(body, status=code)


def _sendable(value: Any) -> Any:
    """Bound what an error repeats of the request, and replace what UTF-8 cannot carry."""
    if isinstance(value, Mapping):
        return {_sendable(str(name))[:_NAME_CHARACTERS]: _sendable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sendable(item) for item in value]
    if isinstance(value, str):
        return value[:_TEXT_CHARACTERS].encode(errors="replace").decode()
    return value if value is None or isinstance(value, bool | int | float) else _sendable(str(value))


def _fields(detail: Any) -> dict[str, Any]:
    """Flatten DRF's nested lists: field → one sentence, or a list when there are several."""
    if isinstance(detail, Mapping):
        return {str(name): _sentences(value) for name, value in detail.items()}
    return {"non_field_errors": _sentences(detail)}


def _sentences(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _fields(value)
    if isinstance(value, list):
        plain = [_sentence(item) if not isinstance(item, Mapping) else _fields(item) for item in value]
        return plain[0] if len(plain) == 1 else plain
    return _sentence(value)


def _sentence(detail: Any) -> str:
    # REST framework's own words begin with what was sent, which may be a secret in the wrong place.
    is_repeated = getattr(detail, "code", "") == "invalid_choice" and str(detail).startswith('"')
    return _NO_CHOICE if is_repeated else str(detail)
