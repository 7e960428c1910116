"""structlog: one event per line, ids as fields, secrets masked at the sink."""

import logging
import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog

MASK: Final = "***"
_SECRET_KEY: Final = re.compile(
    r"(?i)(pass(word|wd)?|secret|token|api[_-]?key|authorization|cookie|private[_-]?key|credential|fernet|dsn)"
)
_HARMLESS_KEY: Final = re.compile(r"(?i)(_tokens|_count|_name|_id|tokens_(used|in|out))$")
_URL_USERINFO: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
#: Our schemes ``Token`` and ``Worker`` are words of our sentences, too: what follows is then short or an id.
_AUTHORIZATION: Final = re.compile(
    r"(?i)\b(bearer(?=\s+\S{12})|basic(?=\s+\S{12})|token(?=\s+\S{20})|worker(?=\s+\S{20}))"
    r"\s+(?![0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-]))[A-Za-z0-9._~+/=-]{12,}"
)
#: The field in which a request's line is logged; what its query says may be anything.
_REQUEST_KEY: Final = "request"
_known_secrets: set[str] = set()


def remember_secret(value: str) -> None:
    """Mask this very value wherever a later log line would show it."""
    if len(value) >= 8:
        _known_secrets.add(value)


def remember_password_of(url: str) -> None:
    """Mask the password of a URL as it is written there and as the server knows it."""
    password = urlsplit(url).password or ""
    remember_secret(password)
    remember_secret(unquote(password))


def mask_text(text: str) -> str:
    """Return a text without credentials in URLs, Authorization values and known secrets."""
    text = _URL_USERINFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    # The longest first: one secret may be the beginning of another.
    for secret in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _without_query(request: str) -> str:
    """Return a request's line with the names in its query, and none of the values."""
    path, mark, query = request.partition("?")
    shown = (f"{part.partition('=')[0]}={MASK}" if "=" in part else MASK for part in query.split("&"))
    return f"{path}{mark}{'&'.join(shown)}" if mark else request


def _masked(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and not _HARMLESS_KEY.search(key):
        return MASK if value else value
    if isinstance(value, str):
        return mask_text(_without_query(value) if key == _REQUEST_KEY else value)
    if isinstance(value, MutableMapping):
        return {inner: _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, item) for item in value]
    if isinstance(value, BaseException):
        return mask_text(f"{type(value).__name__}: {value}")
    return value


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask the values of secret-like keys and every known secret (a structlog processor)."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _shared_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def logging_config(*, log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING setting.

    Args:
        log_format: ``json`` for machines, ``console`` for people.
        level: the least level that is written.

    """
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if log_format == "console"
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    quiet: Iterable[str] = (
        "httpx",
        "httpcore",
        "asyncio",
        "asyncssh",
        "django.request",
        "django_structlog",
        "copier",
        "urllib3",
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared_processors(),
                # Last before the renderer, so that nothing added on the way escapes the mask.
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    mask_secrets,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {name: {"level": "WARNING"} for name in quiet},
    }


def configure_structlog() -> None:
    """Send structlog's own loggers through the standard library's handlers."""
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
