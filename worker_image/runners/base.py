"""What the wrapper needs to know about a coding agent: its command, its environment, its words."""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from worker_image.contract import ErrorCode, Usage

MAX_PROGRESS_LINE_BYTES = 64 * 1024
"""Longer lines are never progress."""
COMMON_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    | {"API_URL", "WORKER_TOKEN", "ALLOWED_COMMANDS", "WORKER_ID", "WORKSPACE_DIR"}
)
"""What every agent gets: the machine's basics, and what the `orchestrator` command needs inside a worker."""

PACKAGE_ENVIRONMENT = frozenset(
    {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST"}
    | {"PIP_DEFAULT_TIMEOUT", "PIP_CERT", "PIP_DISABLE_PIP_VERSION_CHECK"}
    | {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY"}
    | {"UV_FIND_LINKS", "UV_NO_INDEX", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_SYSTEM_CERTS"}
    | {"UV_NATIVE_TLS", "UV_OFFLINE", "UV_LINK_MODE", "UV_PYTHON_DOWNLOADS"}
    | {"NPM_CONFIG_REGISTRY", "NPM_CONFIG_FUND", "NPM_CONFIG_AUDIT", "NPM_CONFIG_UPDATE_NOTIFIER"}
    | {"GIT_SSL_CAINFO"}
)
"""What installs packages for an agent: where they come from and who vouches for it. Never with a password."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentAnswer:
    """What an agent said, out of its own envelope."""

    text: str
    is_error: bool = False
    error: str | None = None
    error_code: ErrorCode | None = None
    """Whose fault it was, if the agent's words tell that: the provider's."""
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressUpdate:
    """One sign of progress in an agent's output."""

    message: str | None = None
    step: str | None = None
    pct: int | None = None


class AgentRunner(Protocol):
    """One kind of coding agent. Pure: starts nothing itself."""

    environment: frozenset[str]
    """Names of provider variables the agent gets besides what every agent gets."""

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one headless turn."""
        ...

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the answer out of what the agent printed; never raises."""
        ...

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Return the progress that one line of output tells, if any; never raises."""
        ...

    def extra_environment(self) -> Mapping[str, str]:
        """Return variables that this agent needs with a value of our own."""
        ...


@dataclass(slots=True)
class PlainRunner:
    """A given command that prints plain text; it finds its prompt in the file named by `PROMPT_FILE`."""

    command: list[str]
    environment: frozenset[str] = field(default=frozenset())

    def build_command(self, prompt: str) -> list[str]:
        """Return the given command; a `{prompt}` in it is replaced by the prompt."""
        return [part.replace("{prompt}", prompt) for part in self.command]

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take everything printed as the answer."""
        return AgentAnswer(text=stdout)

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read a JSON line of type `progress`."""
        return read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}


def positional(prompt: str) -> str:
    """Return a prompt that no command line takes for an option."""
    return "\n" + prompt if prompt.startswith("-") else prompt


def latest_transcript(paths: Iterable[Path]) -> str | None:
    """Return the name, without its suffix, of the transcript last written; empty ones do not count."""
    found: list[tuple[float, str]] = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            if status.st_size:
                found.append((status.st_mtime, path.stem))
    return max(found)[1] if found else None


def provider_trouble(status: object) -> ErrorCode:
    """Say what an HTTP status of the model's provider means; anything but a status: there was no answer."""
    if status == 429:
        return ErrorCode.PROVIDER_LIMITED
    if isinstance(status, int) and 400 <= status < 500 and status != 408:
        return ErrorCode.PROVIDER_REFUSED
    return ErrorCode.PROVIDER_UNAVAILABLE


def parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in a text, or None if it is anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def json_lines(stdout: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the lines of a text."""
    for line in stdout.splitlines():
        if line.lstrip().startswith("{") and (value := parse_object(line)) is not None:
            yield value


def read_progress(line: str) -> ProgressUpdate | None:
    """Read `{"type": "progress", "message": …, "step": …, "pct": …}`; anything else is None."""
    if len(line) > MAX_PROGRESS_LINE_BYTES or '"progress"' not in line:
        return None
    value = parse_object(line)
    if value is None or value.get("type") != "progress":
        return None
    return ProgressUpdate(
        message=_text(value.get("message")),
        step=_text(value.get("step")),
        pct=_percent(value.get("pct")),
    )


def read_usage(tokens: object, cost_usd: object = None) -> Usage | None:
    """Read a provider's usage object; what it does not tell stays unknown, and nothing told is None."""
    counts = tokens if isinstance(tokens, Mapping) else {}
    known = {
        "input_tokens": counts.get("input_tokens"),
        "output_tokens": counts.get("output_tokens"),
        "cost_usd": cost_usd,
    }
    known = {name: value for name, value in known.items() if _is_number(value)}
    try:
        return Usage(**known) if known else None
    except ValidationError:
        return None


def read_result_envelope(stdout: str) -> AgentAnswer:
    """Unwrap `{"result": …, "is_error": …}`, the whole text or its last line; else take the text as is."""
    envelope = _find_envelope(stdout)
    if envelope is None:
        return AgentAnswer(text=stdout)
    words = envelope.get("result")
    text = words if isinstance(words, str) else ""
    is_error = bool(envelope.get("is_error"))
    error = text or _text(envelope.get("subtype")) or "the agent reported an error"
    return AgentAnswer(
        text=text,
        is_error=is_error,
        error=error if is_error else None,
        error_code=_provider_code(envelope) if is_error else None,
        usage=read_usage(envelope.get("usage"), envelope.get("total_cost_usd")),
    )


def _provider_code(envelope: Mapping[str, Any]) -> ErrorCode | None:
    status = envelope.get("api_error_status")
    is_providers = status is not None or envelope.get("terminal_reason") == "api_error"
    return provider_trouble(status) if is_providers else None


def _find_envelope(stdout: str) -> dict[str, Any] | None:
    stripped = stdout.strip()
    candidates = [stripped, *stripped.splitlines()[-1:]]
    for candidate in candidates:
        value = parse_object(candidate)
        if value is not None and ("result" in value or "is_error" in value):
            return value
    return None


def _percent(value: object) -> int | None:
    return min(100, max(0, int(value))) if isinstance(value, int | float) and _is_number(value) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
