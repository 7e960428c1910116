"""The rows that carry the evidence of a task, and which line of its timeline each belongs to."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Words, list_address
from apps.graph.card import Card, Line
from apps.infra.models import ServiceDeployment
from apps.projects.models import Dispatch, MergeRequest, TaskEvent, TaskEventKind
from apps.workers.models import Turn, Verification, Worker

K = TaskEventKind
_EFFECT = re.compile(r"run-[0-9a-f-]{36}-(?P<what>[a-z]+)-(?P<round>.+)")
#: kind of event → the effect whose row shows what was observed.
_EFFECT_OF: Mapping[str, str] = {
    **dict.fromkeys([K.WORKER_REQUESTED, K.WORKER_READY, K.NEW_ATTEMPT], "worker"),
    **dict.fromkeys([K.TURN_STARTED, K.TURN_FINISHED], "turn"),
    **dict.fromkeys([K.CHANGE_ACCEPTED, K.REBASED, K.MERGED, K.PULL_REQUEST_OPENED], "change"),
    **dict.fromkeys([K.HOST_CHECKS_STARTED, K.HOST_CHECKS_PASSED, K.HOST_CHECKS_FAILED], "change"),
    **dict.fromkeys([K.CHECKS_STARTED, K.CHECKS_PASSED, K.CHECKS_FAILED], "verification"),
    **dict.fromkeys([K.PORT_ALLOCATED, K.INSTALLING, K.STARTING], "deployment"),
    **dict.fromkeys([K.SMOKE_PASSED, K.DEPLOYED], "deployment"),
    **dict.fromkeys([K.WORKFLOW_STARTED, K.WORKFLOW_FINISHED, K.WORKFLOW_FAILED], "dispatch"),
}
#: So many rows of a kind are read, so many are drawn; so many lines of the timeline.
_READ: Final = 100
_DRAWN: Final = 10
_LINES: Final = 120
_MARKS = {"done": "✓", "active": "●", "failed": "✕"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Related:
    """One row that was made for a task."""

    task_id: UUID
    effect: str  # worker, turn, change, verification, deployment, dispatch
    round: str  # which of the task's rounds asked for it
    title: Words
    page: str
    row: Any

    @property
    def created_at(self) -> datetime:
        """When it was asked for."""
        moment: datetime = self.row.created_at
        return moment

    @property
    def link(self) -> str:
        """Its page."""
        return display.link(self.page, self.row.pk, f"{self.title} {str(self.row.pk)[: display.SHORT_ID]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineRow:
    """A line of the card as the task's page draws it."""

    line: Line
    mark: str
    seconds: str
    evidence: str


def load(task_ids: Collection[UUID]) -> list[Related]:
    """Return the latest rows that were made for some tasks, oldest first; one query for each kind of row."""
    queries: Sequence[tuple[str, Words, str, Any]] = (
        ("worker", _("Worker"), "workers_worker", Worker.objects),
        ("turn", _("Turn"), "workers_turn", Turn.objects),
        ("change", _("Merge request"), "projects_mergerequest", MergeRequest.objects),
        ("verification", _("Verification"), "workers_verification", Verification.objects),
        ("deployment", _("Deployment"), "infra_servicedeployment", ServiceDeployment.objects),
        ("dispatch", _("Workflow"), "projects_dispatch", Dispatch.objects),
    )
    found = [
        Related(
            task_id=row.task_id,
            effect=effect,
            round=_round_of(row.idempotency_key),
            title=title,
            page=page,
            row=row,
        )
        for effect, title, page, rows in queries
        for row in rows.filter(task_id__in=task_ids)
        .only("id", "task_id", "idempotency_key", "status", "failure", "created_at")
        .order_by("-created_at")[:_READ]
    ]
    return sorted(found, key=lambda related: related.created_at)


def latest_of_each(found: Sequence[Related]) -> list[Related]:
    """Return the rows that are drawn: of every kind the latest, oldest first."""
    drawn = {one.row.pk for rows in _by_kind(found) for one in rows[-_DRAWN:]}
    return [one for one in found if one.row.pk in drawn]


def beyond(found: Sequence[Related]) -> str:
    """Link to the lists of those kinds of which more was made than is drawn."""
    links = [
        (
            list_address(rows[0].page, task_id__in=",".join(sorted({str(one.task_id) for one in rows}))),
            rows[0].title,
        )
        for rows in _by_kind(found)
        if len(rows) > _DRAWN
    ]
    if not links:
        return ""
    names = format_html_join(", ", '<a class="text-link" href="{}">{}</a>', links)
    return format_html("{} {}", gettext("Only the latest are shown; all of them:"), names)


def _by_kind(found: Sequence[Related]) -> list[list[Related]]:
    kinds: dict[str, list[Related]] = defaultdict(list)
    for one in found:
        kinds[one.effect].append(one)
    return list(kinds.values())


def earlier(card: Card) -> str:
    """Say how many lines of a card its page leaves out, and link to all that happened."""
    count = len(card.lines) - _LINES
    if count <= 0:
        return ""
    words = ngettext("%(count)s earlier line", "%(count)s earlier lines", count) % {"count": count}
    address = reverse("task-events", args=[card.task_id])
    return format_html('<a class="text-link" href="{}">{}</a>', address, words)


def timeline(card: Card, related: Iterable[Related]) -> list[TimelineRow]:
    """Put beside each line of a card, so far as it is drawn, the row that proves it."""
    lines = card.lines[-_LINES:]
    rounds: dict[tuple[UUID, str, str], Related] = {}
    for one in related:
        rounds[one.task_id, one.effect, one.round] = one
        rounds[one.task_id, one.effect, ""] = one  # the latest, for lines that name no round
        rounds[one.task_id, one.effect, str(one.row.pk)] = one
    keys = dict(TaskEvent.objects.filter(pk__in=[line.event_id for line in lines]).values_list("pk", "key"))
    return [_row(line, keys.get(line.event_id, ""), rounds) for line in lines]


def _row(line: Line, key: str, rounds: Mapping[tuple[UUID, str, str], Related]) -> TimelineRow:
    effect = _EFFECT_OF.get(line.kind, "")
    proof = rounds.get((line.task_id, effect, key.partition(":")[2]))
    return TimelineRow(
        line=line,
        mark=_MARKS[line.state],
        seconds="" if line.seconds is None else display.seconds(line.seconds),
        evidence=proof.link if proof else "",
    )


def _round_of(idempotency_key: str) -> str:
    found = _EFFECT.fullmatch(idempotency_key)
    return found["round"] if found else idempotency_key
