"""What a playbook's events come to: counts, tasks with their outcome, the one that failed. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MASK: Final = "***"
_TASKS, _NAME_CHARACTERS, _TEXT_CHARACTERS = 300, 200, 2_000
_SHORTEST_SECRET: Final = 6
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
#: How a task of ours says which failure it is: ``[wrong_system] Debian or Ubuntu …``.
_CODE = re.compile(r"\[([a-z_]{3,40})\] ")
_OUTCOMES: Final = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}


class PlaybookOutcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # a task said no
    UNREACHABLE = "unreachable"  # the server did not let it in, or went away
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    BROKEN = "broken"  # Ansible itself could not do it: its files, its configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFailure:
    """The task that ended a run."""

    task: str
    code: str  # task_failed, or the task's own
    message: str
    stderr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybookResult:
    """What became of a run."""

    outcome: PlaybookOutcome
    recap: Mapping[str, Any]
    failure: TaskFailure | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the playbook itself reported
    output: str = ""  # the end of what Ansible printed, masked


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return a text without secrets: the given ones, and whatever looks like a private key."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _KEY_BLOCK.sub(MASK, text)


class Recap:
    """Collects a run's events."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._tasks: list[dict[str, str]] = []
        self._counts = dict.fromkeys(("ok", "changed", "failed", "skipped", "unreachable"), 0)
        self.current_task = ""
        self.failure: TaskFailure | None = None
        self.facts: dict[str, Any] = {}
        self.is_complete = False

    def feed(self, event: Mapping[str, Any]) -> None:
        """Take one event of ansible-runner; what is not of interest is passed over."""
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind == "playbook_on_task_start":
            self.current_task = self._name(data)
        elif kind in _OUTCOMES:
            self._ended(_OUTCOMES[kind], data)
        elif kind == "playbook_on_stats":
            self.is_complete = bool(data.get("processed"))
            self.facts = dict(data.get("artifact_data") or {})

    def as_json(self) -> dict[str, Any]:
        """Return the form that a row keeps."""
        return {
            "counts": dict(self._counts),
            "tasks": self._tasks[-_TASKS:],
            "left_out": sorted(map(str, self.facts.get("left_out", ()))),
        }

    @property
    def was_unreachable(self) -> bool:
        """Whether a task did not reach the server."""
        return self._counts["unreachable"] > 0

    def _ended(self, outcome: str, data: Mapping[str, Any]) -> None:
        result = data.get("res") or {}
        if outcome == "ok" and result.get("changed"):
            outcome = "changed"
        if outcome == "failed" and data.get("ignore_errors"):
            outcome = "ok"
        self._counts[outcome] += 1
        self._tasks.append({"name": self._name(data), "outcome": outcome})
        if outcome in ("failed", "unreachable"):
            self.failure = self._failure_of(outcome, data, result)

    def _failure_of(self, outcome: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> TaskFailure:
        said = self._text(result.get("msg") or result.get("reason") or "")
        if outcome == "unreachable":
            return TaskFailure(task=self._name(data), code=_code_of(said), message=said, stderr="")
        code = _CODE.match(said)
        errors = result.get("module_stderr") or result.get("stderr") or ""
        return TaskFailure(
            task=self._name(data),
            code=code[1] if code else "task_failed",
            message=said[code.end() :] if code else said,
            stderr=self._text(errors),
        )

    def _name(self, data: Mapping[str, Any]) -> str:
        role, task = data.get("role"), str(data.get("task") or "")
        return self._text(f"{role} : {task}" if role else task)[:_NAME_CHARACTERS]

    def _text(self, value: Any) -> str:
        return masked(str(value), self._secrets)[-_TEXT_CHARACTERS:]


def _code_of(said: str) -> str:
    """Tell by ssh's words why a server did not let us in."""
    if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
        return "host_key_changed"
    return "login_refused" if "Permission denied" in said else "unreachable"
