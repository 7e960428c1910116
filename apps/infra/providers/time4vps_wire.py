"""Payloads of Time4VPS, read strictly: what does not fit is an error, never a guess. Pure."""

import html
import json
import re
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from apps.infra.providers.base import Malformed

_MAX_SERVERS: Final = 10_000
_DEFAULT_WAIT_SECONDS: Final = 60.0
_LONGEST_WAIT_SECONDS: Final = 900.0
#: A guess: the documentation names no words for it; throttling was seen to answer 401.
_THROTTLING: Final = re.compile(
    r"too[\s_-]*many|throttl|rate[\s_-]*limit|try again (?:in|after)|slow down", re.I
)
_INTERVAL: Final = re.compile(r"(\d{1,5})\s*(seconds?|secs?|s|minutes?|mins?|m)\b", re.I)
_THROTTLED_STATUSES: Final = frozenset({401, 403, 429, 503})
#: A guess: the result is prose, with the password in it or in the script of a link.
_PASSWORDS: Final = (
    re.compile(r"""innerHTML\s*=\s*(?P<quote>["'])(?P<password>.+?)(?P=quote)"""),
    re.compile(r"password\s*:\s*(?P<password>[^\s<]+)", re.I),
)
#: Documented as the name of a task: ``server_recreate``. A guess: that others of the kind are called alike.
_REINSTALLATION: Final = re.compile(r"re-?create|re-?install", re.I)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_NAME_CHARACTERS: Final = 200


def _text(value: Any) -> Any:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_text), Field(max_length=500)]
Number = Annotated[int, Field(ge=0, le=10**18)]


class Listed(BaseModel):
    """A line of ``GET /server``."""

    server_id: Number
    domain: Text = ""
    label: Text = ""
    ip: Text = ""


class Details(BaseModel):
    """``GET /server/ID``."""

    status: Text
    os: Text = ""
    ip: Text = ""
    cpu_cores: Number | None = None
    ram_limit: Number | None = None
    disk_limit: Number | None = None
    active_task: Any = None


class System(BaseModel):
    """A line of ``GET /server/ID/oses``."""

    os: Annotated[str, Field(min_length=1, max_length=200)]


class TaskNumber(BaseModel):
    """The answer to whatever becomes a task."""

    task_id: Number


class Task(BaseModel):
    """``GET /server/ID/task/ID``: what is not so yet is an empty text."""

    name: Text = ""
    completed: Text
    results: Annotated[str, BeforeValidator(_text), Field(max_length=20_000)] = ""


M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], payload: Any) -> M:
    """Read one object.

    Raises:
        Malformed: it is not what was documented; the message names fields, never their values.

    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) or "the whole" for problem in error.errors()})
        raise Malformed(
            f"{model.__name__}: {', '.join(fields[:5])} cannot be understood.",
            details={"fields": fields[:20]},
        ) from None


def parse_list(model: type[M], payload: Any) -> list[M]:
    """Read a list; one line that cannot be read spoils it, because the rest would look like all there is.

    Raises:
        Malformed: see ``parse``.

    """
    # The documentation shows one server where the listing was seen to be an array.
    lines = [payload] if isinstance(payload, dict) else payload
    if not isinstance(lines, list) or len(lines) > _MAX_SERVERS:
        raise Malformed("A list was expected.")
    return [parse(model, line) for line in lines]


def read(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        Malformed: it is none, or one so deep that nobody can have meant it.

    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The answer of Time4VPS is no JSON.") from None


def error_of(text: str) -> str:
    """Return the word of an answer that is an error, else nothing: ``{"error": ["wronglogin"]}``."""
    try:
        payload = read(text)
    except Malformed:
        return ""
    error = payload.get("error") if isinstance(payload, dict) else None
    if isinstance(error, list):
        error = error[0] if error else "unknown"
    return str(error)[:200] if error else ""


def retry_after_of(status: int, header: str, text: str) -> float | None:
    """Return how many seconds a throttled caller has to wait; None: the answer is none of throttling.

    Args:
        status: of the answer.
        header: its Retry-After.
        text: its body, which tells throttling from a wrong password: both are 401.

    """
    body = text[:2_000]
    if status not in _THROTTLED_STATUSES or not (status == 429 or _THROTTLING.search(body)):
        return None
    if header.isdigit():
        return _bounded(float(header))
    named = _INTERVAL.search(body)
    if named is None:
        return _DEFAULT_WAIT_SECONDS
    return _bounded(float(named[1]) * (60.0 if named[2].lower().startswith("m") else 1.0))


def password_in(results: str) -> str:
    """Return the password that the result of a task tells, or nothing."""
    for pattern in _PASSWORDS:
        if found := pattern.search(results):
            return html.unescape(found["password"]).strip()
    return ""


def task_of(active_task: Any) -> tuple[str, str]:
    """Return name and number of the task that a server is busy with; each is empty if it is not told.

    That it is an object like the one of ``GET /server/ID/task/ID`` is documented; that it may have
    its number with it, and under which name, is a guess.
    """
    if not isinstance(active_task, dict):
        return "", ""
    numbers = (str(active_task.get(name, "")) for name in ("id", "task_id"))
    number = next((one for one in numbers if _NUMBER.fullmatch(one)), "")
    return str(active_task.get("name") or "")[:_NAME_CHARACTERS], number


def is_reinstallation(name: str) -> bool:
    """Tell by a task's name whether it erases the server."""
    return bool(_REINSTALLATION.search(name))


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), _LONGEST_WAIT_SECONDS)
