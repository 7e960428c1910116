"""The live card of a task: one pure presenter that terminal, chat, admin and REST all render."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils import translation

from apps.graph import card_text
from apps.projects.models import Task, TaskEvent, TaskEventKind, TaskStatus
from apps.projects.serializers import WIRE_STATUS
from apps.workers.liveness_words import LivenessLine
from apps.workers.queueing import QueuePlace

SHOWN_PROGRESS_LINES = 5

K = TaskEventKind
#: An event that begins something is shown until one that ends it takes its place.
ENDED_BY: Mapping[str, frozenset[str]] = {
    K.WORKER_REQUESTED: frozenset({K.WORKER_READY, K.NEW_ATTEMPT}),
    K.TURN_STARTED: frozenset({K.TURN_FINISHED, K.NEW_ATTEMPT}),
    K.CHECKS_STARTED: frozenset({K.CHECKS_PASSED, K.CHECKS_FAILED}),
    K.HOST_CHECKS_STARTED: frozenset({K.HOST_CHECKS_STARTED, K.HOST_CHECKS_PASSED, K.HOST_CHECKS_FAILED}),
    K.CAPACITY_AWAITED: frozenset({K.PORT_ALLOCATED}),
    K.WORKFLOW_STARTED: frozenset({K.WORKFLOW_STARTED, K.WORKFLOW_FINISHED, K.WORKFLOW_FAILED}),
    K.QUESTION_ASKED: frozenset({K.QUESTION_ANSWERED}),
    K.CANCEL_REQUESTED: frozenset({K.CANCELED}),
}
#: Phases without an end of their own: they last until the next event.
PHASES = frozenset({K.INSTALLING, K.STARTING})
FAULTS = frozenset(
    {K.CHECKS_FAILED, K.HOST_CHECKS_FAILED, K.WORKFLOW_FAILED, K.FAILED, K.CRASHED, K.CANCELED}
)
#: Those before which something was installed: a worker's image, packages for the checks or the service.
INSTALLS = frozenset({K.WORKER_READY, K.CHECKS_PASSED, K.CHECKS_FAILED, K.SMOKE_PASSED})
#: Where a change was checked, here and at the git host.
CHECKED = frozenset({K.CHECKS_PASSED, K.CHECKS_FAILED, K.HOST_CHECKS_PASSED, K.HOST_CHECKS_FAILED})
ENDS = frozenset({K.SUCCEEDED, K.FAILED, K.CRASHED, K.CANCELED})


class LineState(StrEnum):
    """How a line looks."""

    DONE = "done"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line; it stands for exactly one event of the timeline."""

    event_id: int
    task_id: UUID
    seq: int
    kind: str
    text: str
    state: str
    at: datetime
    seconds: float | None  # how long it took, or has taken where that is told; else None while it lasts


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """Everything a person is shown of a task at one moment."""

    task_id: UUID
    title: str
    status: str  # the wire's word
    agent: str
    lines: tuple[Line, ...]
    url: str
    failure: dict[str, Any] | None
    elapsed_seconds: float
    accounting: dict[str, float]  # agent, installation, checks, smoke, overhead; in seconds
    cost_usd: float | None = None  # of the agent's turns so far; None: not known of every one
    tokens: int | None = None  # read and written by the model; None: not known of every turn
    queue: QueuePlace | None = None  # where its worker stands while none has a place for it
    liveness: LivenessLine | None = None  # of the agent at work, if one is


def present(
    task: Task,
    events: Sequence[TaskEvent],
    *,
    language: str,
    now: datetime,
    follower: Task | None = None,
    follower_events: Sequence[TaskEvent] = (),
    queue: QueuePlace | None = None,
    image_wait: datetime | None = None,
    liveness: LivenessLine | None = None,
) -> Card:
    """Draw the card of a task and of the deployment that follows it.

    Args:
        task: whose card.
        events: its timeline in order.
        language: of the texts; ``en`` and ``ru`` are known.
        now: the moment of drawing, which an unfinished task is measured against.
        follower: the task that deploys its result, if there is one.
        follower_events: the follower's timeline in order.
        queue: the place in the line of the worker that it waits for.
        image_wait: since when that worker waits for its image to be built, if it does.
        liveness: how alive the agent is that works on it, if one does.

    """
    # A person asked once, so one line says that it was heard.
    heard = TaskEventKind.ACKNOWLEDGED
    all_events = [*events, *(event for event in follower_events if event.kind != heard)]
    last = follower if follower is not None and task.status == TaskStatus.SUCCEEDED else task
    elapsed = _elapsed(last, all_events, now)
    # The engineering task's own end is the middle of the story when a deployment follows.
    shown = [
        event for event in all_events if last is task or (event.task_id, event.kind) != (task.pk, K.SUCCEEDED)
    ]
    image_seconds = None if image_wait is None else max(0.0, (now - image_wait).total_seconds())
    with translation.override(language):
        lines = _lines(shown, is_over=last.status in Task.final_statuses())
        return Card(
            task_id=task.pk,
            title=card_text.title(task.type, task.spec),
            status=WIRE_STATUS[TaskStatus(last.status)],
            agent=_agent(all_events),
            lines=tuple(_with_wait(lines, queue, image_seconds)),
            url=next((event.data.get("url", "") for event in all_events if event.kind == K.DEPLOYED), ""),
            failure=last.failure,
            elapsed_seconds=elapsed,
            accounting=_account(all_events, elapsed, image_seconds or 0.0),
            cost_usd=_used(all_events, "cost_usd"),
            tokens=_tokens(all_events),
            queue=queue,
            liveness=liveness,
        )


def _lines(events: Sequence[TaskEvent], *, is_over: bool) -> list[Line]:
    progress = [event.pk for event in events if event.kind == K.AGENT_PROGRESS]
    dropped = set(progress[:-SHOWN_PROGRESS_LINES])
    lines = []
    for position, event in enumerate(events):
        later = events[position + 1 :]
        if event.pk in dropped or _is_replaced(event, later):
            continue
        lines.append(_line(event, events[:position], later, is_over=is_over))
    return lines


def _with_wait(
    lines: Sequence[Line], queue: QueuePlace | None, image_seconds: float | None
) -> Iterator[Line]:
    """Say of a worker what it waits for: its image to be built, or a place and how many are before it."""
    for line in lines:
        if line.kind != K.WORKER_REQUESTED or line.state != LineState.ACTIVE:
            yield line
        elif image_seconds is not None:
            yield replace(line, text=card_text.image_being_built(), seconds=round(image_seconds, 3))
        elif queue is not None and not queue.is_free:
            yield replace(line, text=card_text.place_in_line(queue))
        else:
            yield line


def _line(
    event: TaskEvent, before: Sequence[TaskEvent], later: Sequence[TaskEvent], *, is_over: bool
) -> Line:
    return Line(
        event_id=event.pk,
        task_id=event.task_id,
        seq=event.seq,
        kind=event.kind,
        text=card_text.sentence(event.kind, event.data),
        state=_state(event, later, is_over=is_over),
        at=event.occurred_at,
        seconds=_seconds(event, before, later),
    )


def _is_replaced(event: TaskEvent, later: Sequence[TaskEvent]) -> bool:
    ends = ENDED_BY.get(event.kind, frozenset())
    return any(other.kind in ends and other.task_id == event.task_id for other in later)


def _state(event: TaskEvent, later: Sequence[TaskEvent], *, is_over: bool) -> LineState:
    if event.kind in FAULTS or (event.kind == K.TURN_FINISHED and event.data.get("code")):
        return LineState.FAILED
    # Whatever was begun and has no end of its own when the task is over, broke off.
    if event.kind in ENDED_BY:
        return LineState.FAILED if is_over else LineState.ACTIVE
    steps = [other for other in later if other.kind != K.AGENT_PROGRESS]
    if event.kind in PHASES and (not steps or steps[0].kind in ENDS):
        return LineState.FAILED if is_over else LineState.ACTIVE
    return LineState.DONE


def _seconds(event: TaskEvent, before: Sequence[TaskEvent], later: Sequence[TaskEvent]) -> float | None:
    known = event.data.get("seconds")
    if isinstance(known, int | float):
        return float(known)
    if event.kind in PHASES:
        return _between(event, later[0]) if later else None
    begins = {kind for kind, ends in ENDED_BY.items() if event.kind in ends}
    began = [other for other in before if other.kind in begins and other.task_id == event.task_id]
    return _between(began[-1], event) if began else None


def _between(first: TaskEvent, second: TaskEvent) -> float:
    return round(max(0.0, (second.occurred_at - first.occurred_at).total_seconds()), 3)


def _agent(events: Sequence[TaskEvent]) -> str:
    agents = [str(event.data["agent"]) for event in events if event.data.get("agent")]
    return card_text.agent_label(agents[-1]) if agents else ""


def _elapsed(last: Task, events: Sequence[TaskEvent], now: datetime) -> float:
    if not events:
        return 0.0
    is_over = last.status in Task.final_statuses()
    until = last.finished_at or events[-1].occurred_at if is_over else now
    return round(max(0.0, (until - events[0].occurred_at).total_seconds()), 3)


def _account(events: Sequence[TaskEvent], elapsed: float, image_seconds: float) -> dict[str, float]:
    installed = _total(events, "install_seconds", INSTALLS)
    parts = {
        "agent": _total(events, "seconds", {K.TURN_FINISHED}),
        "installation": round(installed + image_seconds, 3),
        "checks": _total(events, "seconds", CHECKED),
        "smoke": _total(events, "seconds", {K.SMOKE_PASSED}),
    }
    return {**parts, "overhead": round(max(0.0, elapsed - sum(parts.values())), 3)}


def _total(events: Sequence[TaskEvent], name: str, kinds: Collection[TaskEventKind]) -> float:
    found = [event.data.get(name) for event in events if event.kind in kinds]
    return round(sum(float(number) for number in found if isinstance(number, int | float)), 3)


def _tokens(events: Sequence[TaskEvent]) -> int | None:
    read, written = _used(events, "input_tokens"), _used(events, "output_tokens")
    return None if read is None or written is None else int(read + written)


def _used(events: Sequence[TaskEvent], name: str) -> float | None:
    """Add up what the turns used of something; what one turn did not tell is not known of all."""
    turns = [event.data.get("usage") or {} for event in events if event.kind == K.TURN_FINISHED]
    found = [usage.get(name) for usage in turns]
    known = [number for number in found if isinstance(number, int | float)]
    return round(sum(known), 6) if known and len(known) == len(found) else None
