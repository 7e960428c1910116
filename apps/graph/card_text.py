"""The words of the card: one sentence per kind of event, in the language that is active."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.graph import deploy_text
from apps.projects.models import TaskEventKind
from apps.workers.queueing import QueuePlace

Data = Mapping[str, Any]

REHEARSAL = "rehearsal"


def sentence(kind: str, data: Data) -> str:
    """Describe an event in one line."""
    special = _SPECIAL.get(kind)
    return special(data) if special else _(_PLAIN[kind]) % _shown(data)


def agent_label(agent: str) -> str:
    """Name an agent; the offline one is never mistaken for a real one."""
    return _("rehearsal (offline coder, no model)") if agent == REHEARSAL else agent


def title(kind: str, spec: str, *, limit: int = 80) -> str:
    """Return a task's title: the beginning of what was asked."""
    words = "".join(letter for letter in " ".join(spec.split()) if letter.isprintable())
    if not words:
        return _("Deployment") if kind == "deploy" else _("Engineering")
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def place_in_line(place: QueuePlace) -> str:
    """Describe where a worker stands that waits for a place."""
    words = {"position": place.position, "length": place.length}
    if place.estimated_wait_seconds is None:
        return _("Waiting for a free worker: place %(position)s of %(length)s") % words
    words["minutes"] = max(1, round(place.estimated_wait_seconds / 60))
    return (
        _("Waiting for a free worker: place %(position)s of %(length)s, about %(minutes)s min more") % words
    )


def image_being_built() -> str:
    """Describe a worker whose image is not there yet."""
    return _("The worker's image is being built (only before the first one of its kind)")


def _shown(data: Data) -> Mapping[str, str]:
    """Return every field a text may name; what is unknown stays empty."""
    names = ("number", "attempt", "port", "url", "secret", "code", "passed", "total", "sha")
    shown = {name: str(data.get(name, "")) for name in names}
    return {**shown, "sha": shown["sha"][:8]}


def _worker_ready(data: Data) -> str:
    return _("Worker ready: %(agent)s") % {"agent": agent_label(str(data.get("agent", "")))}


def _checks(data: Data) -> str:
    if "passed" in data and "total" in data:
        return _("Checks passed: %(passed)s of %(total)s") % _shown(data)
    return _("Checks passed")


def _checks_failed(data: Data) -> str:
    if "passed" in data and "total" in data:
        return _("Checks failed: %(passed)s of %(total)s passed (%(code)s)") % _shown(data)
    return _("Checks failed (%(code)s)") % _shown(data)


def _pull_request(data: Data) -> str:
    return _("Pull request %(number)s: %(url)s") % _shown(data)


def _host_checks(data: Data) -> str:
    again = _("The git host's checks run once more: their machine had failed")
    return _with_link(again if data.get("again") else _("The git host's checks are running"), data)


def _host_checks_passed(data: Data) -> str:
    return _with_link(_("The git host's checks passed"), data)


def _host_checks_failed(data: Data) -> str:
    where = ", ".join(str(data[name]) for name in ("job", "step") if data.get(name))
    text = _("The git host's checks failed (%(code)s)") % _shown(data)
    return _with_link(f"{text}: {where}" if where else text, data)


def _with_link(text: str, data: Data) -> str:
    return f"{text} · {data['url']}" if data.get("url") else text


def _turn_finished(data: Data) -> str:
    if data.get("code"):
        return _("The agent did not deliver (%(code)s)") % _shown(data)
    return _("The agent committed %(sha)s") % _shown(data)


def _progress(data: Data) -> str:
    return str(data.get("message") or data.get("step") or _("The agent is working"))


def _failed(data: Data) -> str:
    return _with_reason(_("Failed"), data)


def _crashed(data: Data) -> str:
    return _with_reason(_("Crashed"), data)


def _with_reason(text: str, data: Data) -> str:
    code, message = data.get("code"), data.get("message")
    return f"{text}: {message} ({code})" if code else text


_SPECIAL: dict[str, Callable[[Data], str]] = {
    TaskEventKind.WORKER_READY: _worker_ready,
    TaskEventKind.AGENT_PROGRESS: _progress,
    TaskEventKind.TURN_FINISHED: _turn_finished,
    TaskEventKind.CHECKS_PASSED: _checks,
    TaskEventKind.CHECKS_FAILED: _checks_failed,
    TaskEventKind.PULL_REQUEST_OPENED: _pull_request,
    TaskEventKind.HOST_CHECKS_STARTED: _host_checks,
    TaskEventKind.HOST_CHECKS_PASSED: _host_checks_passed,
    TaskEventKind.HOST_CHECKS_FAILED: _host_checks_failed,
    TaskEventKind.FAILED: _failed,
    TaskEventKind.CRASHED: _crashed,
    **deploy_text.SPECIAL,
}

_PLAIN: dict[str, str] = {
    TaskEventKind.ACKNOWLEDGED: gettext_noop("Acknowledged"),
    TaskEventKind.SCAFFOLDED: gettext_noop("Repository created"),
    TaskEventKind.WORKER_REQUESTED: gettext_noop("A worker is being prepared"),
    TaskEventKind.TURN_STARTED: gettext_noop("The agent is working"),
    TaskEventKind.CHANGE_ACCEPTED: gettext_noop("The change was inspected and accepted"),
    TaskEventKind.CHECKS_STARTED: gettext_noop("Checks are running in a fresh place"),
    TaskEventKind.REBASED: gettext_noop("Moved onto the newest state of the project (%(sha)s)"),
    TaskEventKind.REWORK: gettext_noop("Sent back to the agent with the evidence (round %(number)s)"),
    TaskEventKind.NEW_ATTEMPT: gettext_noop("A new worker takes over (attempt %(attempt)s)"),
    TaskEventKind.MERGED: gettext_noop("Merged as %(sha)s"),
    TaskEventKind.INSTALLING: gettext_noop("Installing"),
    TaskEventKind.STARTING: gettext_noop("Starting"),
    TaskEventKind.SMOKE_PASSED: gettext_noop("Smoke test passed"),
    TaskEventKind.QUESTION_ASKED: gettext_noop("A value is needed for %(secret)s"),
    TaskEventKind.QUESTION_ANSWERED: gettext_noop("Answered"),
    TaskEventKind.CANCEL_REQUESTED: gettext_noop("Canceling"),
    TaskEventKind.SUCCEEDED: gettext_noop("Done"),
    TaskEventKind.CANCELED: gettext_noop("Canceled"),
}
