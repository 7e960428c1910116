"""JSON log lines on stderr, with the values of secrets masked."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import structlog

SECRET_NAME = re.compile(
    r"(?i)(token(?!s)|password|passwd|secret|authorization|api_?key|redis_url|credential)"
)
URL_CREDENTIALS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/@\s]*@")
MASK = "***"
MIN_SECRET_CHARS = 6
"""Shorter values are not looked for inside texts: they would mask half of every line."""


class Masking:
    """A structlog processor that hides what must not be read in a log."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {value for value in secrets if len(value) >= MIN_SECRET_CHARS}
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the event with secret values replaced."""
        return {name: self._mask(name, value) for name, value in event.items()}

    def _mask(self, name: str, value: Any) -> Any:
        if value is not None and SECRET_NAME.search(name):
            return MASK
        if isinstance(value, str):
            return self._mask_text(value)
        if isinstance(value, Mapping):
            return {str(key): self._mask(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._mask("", item) for item in value]
        return value

    def _mask_text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return URL_CREDENTIALS.sub(rf"\g<scheme>{MASK}@", text)


def secrets_of(variables: Mapping[str, str]) -> list[str]:
    """Return the values of the variables that look like secrets, and the passwords inside URLs."""
    values = [value for name, value in variables.items() if SECRET_NAME.search(name)]
    found = [re.search(r"://[^/@\s]*:(?P<password>[^/@\s]+)@", value) for value in variables.values()]
    return values + [match["password"] for match in found if match]


def configure(variables: Mapping[str, str]) -> None:
    """Send structlog and the standard library's logs to stderr as JSON, masked."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        Masking(secrets_of(variables)),
    ]
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, renderer])
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
