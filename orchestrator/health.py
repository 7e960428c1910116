"""Is this process alive, and can it serve: for supervisors and load balancers, without credentials."""

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse

from apps.infra.targets.base import TargetUnavailable
from apps.infra.targets.entrance import LocalEntrance

_TIMEOUT_SECONDS = 1.0


def live(_request: HttpRequest) -> JsonResponse:
    """Answer as long as the process answers."""
    return JsonResponse({"status": "ok"})


def ready(_request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database, the broker and the channel answer, else 503 naming those that do not."""
    checks = {
        "database": _database(),
        "broker": _redis(settings.REDIS_URL),
        "channel": _redis(settings.CHANNEL_REDIS_URL),
    }
    is_ready = all(checks.values())
    # Told, and no condition: the API serves without the projects' entrance.
    told = checks | ({"entrance": _entrance()} if settings.INFRA_LOCAL_TARGET else {})
    body = {name: "ok" if works else "unavailable" for name, works in told.items()}
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", **body}, status=200 if is_ready else 503
    )


def _entrance() -> bool:
    try:
        LocalEntrance(settings.INFRA_ENTRANCE_SOCKET).ask()
    except TargetUnavailable:
        return False
    return True


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _redis(url: str) -> bool:
    client = redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
