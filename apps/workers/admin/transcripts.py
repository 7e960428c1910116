"""What was said between us and an agent, in order: what it was asked, what it told, how it ended."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section, first_of
from apps.workers.models import Turn, Worker, WorkerEvent

MAX_TURNS: Final = 10
MAX_LINES: Final = 50
MAX_CHARACTERS: Final = 4_000
#: What an agent tells; heartbeats and results are shown elsewhere.
_TOLD: Final = ("progress", "message")
_Line = tuple[datetime, str, str, str]


def of_worker(worker: Worker) -> Section:
    """Return the transcript of a worker's latest turns."""
    turns = list(worker.turns.order_by("-number")[:MAX_TURNS])
    return _section(turns, WorkerEvent.objects.filter(worker=worker, kind__in=_TOLD))


def of_turn(turn: Turn) -> Section:
    """Return the transcript of one turn."""
    return _section([turn], WorkerEvent.objects.filter(turn_id=turn.pk, kind__in=_TOLD))


def _section(turns: Iterable[Turn], events: Any) -> Section:
    lines = [line for turn in turns for line in _ends(turn)]
    told, more = first_of(events.order_by("-pk"), MAX_LINES)
    lines += [_told(event) for event in told]
    return Section(
        title=_("Transcript"),
        more=more,
        headers=(_("When"), _("Who"), _("Words"), _("Step")),
        rows=[
            (display.moment(at), who, display.text_block(_bounded(words)), step)
            for at, who, words, step in sorted(lines, key=lambda line: line[0])
        ],
    )


def _ends(turn: Turn) -> Iterator[_Line]:
    title = gettext("Turn %(number)s") % {"number": turn.number}
    yield turn.sent_at or turn.created_at, gettext("asked"), turn.prompt, title
    if turn.finished_at:
        yield turn.finished_at, gettext("the agent"), turn.summary or turn.get_status_display(), title


def _told(event: WorkerEvent) -> _Line:
    body = event.body
    words = str(body.get("message") or body.get("text") or "")
    return event.received_at, gettext("the agent"), words, str(body.get("current_step") or "")


def _bounded(words: str) -> str:
    return words if len(words) <= MAX_CHARACTERS else f"{words[:MAX_CHARACTERS]} …"
