"""Flower behind our own sign-in: read only, for those who run the installation.

Flower's own password leaves its metrics and its health open, so it listens at
no port: at a socket that only our account can reach, or inside a network of
containers. What it could do to workers is refused here; the admin does that.
"""

import http.client
import socket
from contextlib import closing
from typing import Final
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from typing_extensions import override

_TIMEOUT_SECONDS: Final = 10.0
_MAX_BODY_BYTES: Final = 100_000
#: What Flower's pages ask by POST, and only to read: the filter of the list of tasks is long.
_READ_BY_POST: Final = frozenset({"tasks/datatable"})
_PASSED_ON: Final = ("content-type", "location", "cache-control", "etag", "last-modified")


# Whatever may be posted here reads; Flower's pages know no token of ours.
@csrf_exempt
def flower(request: HttpRequest, path: str) -> HttpResponse:
    """Return what Flower answers; 503 with words if it does not."""
    if not admin.site.has_permission(request):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    allowed = ["GET", "HEAD", *(["POST"] if path in _READ_BY_POST else [])]
    if request.method not in allowed:
        return HttpResponseNotAllowed(allowed)
    if path.startswith("api/"):
        return _say(_("Workers are not steered here; the admin's own pages do that."), status=403)
    try:
        return _ask(request, path)
    except (OSError, http.client.HTTPException):
        return _say(_("Flower does not answer. It may not run in this installation."), status=503)


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("flower", timeout=_TIMEOUT_SECONDS)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def _connection() -> http.client.HTTPConnection:
    where = urlsplit(settings.FLOWER_URL)
    if where.scheme == "unix":
        return _SocketConnection(where.path)
    return http.client.HTTPConnection(where.netloc, timeout=_TIMEOUT_SECONDS)


def _ask(request: HttpRequest, path: str) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "")
    target = f"/flower/{quote(path)}{f'?{query}' if query else ''}"
    headers = {name: request.headers[name] for name in ("accept", "content-type") if name in request.headers}
    with closing(_connection()) as connection:
        connection.request(
            request.method or "GET", target, body=request.read(_MAX_BODY_BYTES) or None, headers=headers
        )
        answer = connection.getresponse()
        content = answer.read()
    passed = {name: value for name in _PASSED_ON if (value := answer.getheader(name))}
    return HttpResponse(content, status=answer.status, headers=passed)


def _say(words: str, *, status: int) -> HttpResponse:
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
