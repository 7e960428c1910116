"""Stores what workers said and moves the rows it speaks of: one transaction per batch.

Safe to repeat: a report is new once, by (worker, boot, seq), and every move is
a compare-and-set in which the first outcome wins.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.bulk import insert_new, update_each
from apps.failures import Failure
from apps.workers import outcomes
from apps.workers.consumer_parse import Report, Result
from apps.workers.limits import IDLE_SECONDS
from apps.workers.models import ACTIVE, Snapshot, Turn, TurnStatus, Worker, WorkerEvent, WorkerStatus
from worker_image.contract import (
    LifecycleEvent,
    OutputKind,
    SnapshotReason,
    WorkerLifecycleEvent,
)

_TURN_FINAL = Turn.final_statuses()


@dataclass(slots=True)
class Facts:
    """What changed, for whoever wants to be told; ids only."""

    workers: set[UUID] = field(default_factory=set)
    turns: set[UUID] = field(default_factory=set)
    progressed: set[UUID] = field(default_factory=set)
    look_at: set[UUID] = field(default_factory=set)
    """Workers whose container is worth a look now."""
    refused: list[tuple[Report, str]] = field(default_factory=list)
    """Reports that follow the contract but speak of something that is not theirs, and why."""

    def add(self, other: "Facts") -> None:
        """Take in what another batch changed."""
        self.workers |= other.workers
        self.turns |= other.turns
        self.progressed |= other.progressed
        self.look_at |= other.look_at
        self.refused += other.refused


@transaction.atomic
def store(reports: Sequence[Report]) -> Facts:
    """Store reports in their order and apply those that are new."""
    facts = Facts()
    turns = _turns_of(reports)
    fresh = _keep([report for report in reports if _belongs(report, turns, facts)])
    _note_words(fresh)
    _apply_lifecycle(fresh, facts)
    _apply_results(fresh, turns, facts)
    facts.progressed |= {
        report.turn_id for report in fresh if report.turn_id and report.kind is OutputKind.PROGRESS
    }
    return facts


def _keep(reports: Sequence[Report]) -> list[Report]:
    """Write the inbox; returns what is new, in order. A heartbeat is not kept, and always new."""
    kept = {report.key: report for report in reversed(reports) if report.kind is not OutputKind.HEARTBEAT}
    now = timezone.now()
    new = insert_new(
        WorkerEvent,
        [
            {
                "worker": report.worker_id,
                "boot": report.boot,
                "seq": report.seq,
                "kind": report.kind,
                "body": report.words,
                "turn_id": report.turn_id,
                "received_at": now,
            }
            for report in reversed(kept.values())
        ],
        returning=("worker", "boot", "seq"),
    )
    return [
        report
        for report in reports
        if report.kind is OutputKind.HEARTBEAT or (report.key in new and kept[report.key] is report)
    ]


def _turns_of(reports: Sequence[Report]) -> dict[UUID, Turn]:
    ids = {report.turn_id for report in reports if report.turn_id is not None}
    turns = Turn.objects.only("id", "worker_id", "status")
    return turns.in_bulk(ids) if ids else {}


def _belongs(report: Report, turns: dict[UUID, Turn], facts: Facts) -> bool:
    if report.turn_id is None:
        return True
    turn = turns.get(report.turn_id)
    if turn is not None and turn.worker_id == report.worker_id:
        return True
    facts.refused.append((report, "speaks of a turn that is not this worker's"))
    return False


def _note_words(reports: Iterable[Report]) -> None:
    """Write the time of each worker's latest word, and its latest heartbeat."""
    latest: dict[UUID, dict[str, Any] | None] = {}
    for report in reports:
        is_beat = report.kind is OutputKind.HEARTBEAT
        latest[report.worker_id] = report.words if is_beat else latest.get(report.worker_id)
    now = timezone.now()
    silent: dict[UUID, dict[str, Any]] = {}
    beating: dict[UUID, dict[str, Any]] = {}
    for worker_id, heartbeat in latest.items():
        if heartbeat is None:
            silent[worker_id] = {}
        else:
            beating[worker_id] = {"heartbeat": heartbeat}
    for words in (silent, beating):
        update_each(Worker, words, where="status", among=ACTIVE, common={"heartbeat_at": now})


def _apply_lifecycle(reports: Iterable[Report], facts: Facts) -> None:
    said = [(report, report.body) for report in reports if isinstance(report.body, WorkerLifecycleEvent)]
    _start([report for report, body in said if body.event is LifecycleEvent.STARTED], facts)
    for report, body in said:
        match body.event:
            case LifecycleEvent.FAILED:
                message = body.error or "The worker cannot take turns."
                stop(report.worker_id, outcomes.platform_failure("worker_gave_up", message))
                facts.look_at.add(report.worker_id)
            case LifecycleEvent.STOPPED:
                facts.look_at.add(report.worker_id)
            case LifecycleEvent.STARTED | LifecycleEvent.COMPLETED:
                continue  # done together; the result itself says more


def _start(reports: Sequence[Report], facts: Facts) -> None:
    """Let workers run that have said their first word; a later start only changes the boot."""
    now = timezone.now()
    limit = now + timedelta(seconds=settings.WORKERS_TURN_TIMEOUT_SECONDS + IDLE_SECONDS)
    boots = {report.worker_id: report.boot for report in reports}
    started = Worker.try_transition_many(
        {
            worker_id: {"boot": boot, "started_at": now, "deadline_at": limit}
            for worker_id, boot in boots.items()
        },
        to=WorkerStatus.RUNNING,
        expect=WorkerStatus.STARTING,
    )
    facts.workers |= started
    again = {worker_id: {"boot": boot} for worker_id, boot in boots.items() if worker_id not in started}
    update_each(Worker, again, where="status", among=ACTIVE)


def stop(worker_id: UUID, failure: Failure) -> bool:
    """Decide that a worker must end, unless that was decided before; the reconciler makes it true."""
    unfinished = [WorkerStatus.PENDING, *ACTIVE]
    waiting = Worker.objects.filter(pk=worker_id, stop_failure__isnull=True, status__in=unfinished)
    return bool(waiting.update(stop_failure=failure.as_json()))


class _Bundles:
    """The bundles that the results of a batch speak of, read once and only if a result needs one."""

    def __init__(self, reports: Iterable[Report]) -> None:
        results = [report for report in reports if report.kind is OutputKind.RESULT]
        self._worker_ids = {report.worker_id for report in results}
        self._heads = {_claimed_commit(report.body) for report in results}
        self._found: dict[tuple[UUID, str], tuple[str, str]] | None = None

    def find(self, turn: Turn, head_sha: str) -> tuple[str, str] | None:
        """Return name and digest of a bundle of the turn's worker with a commit as its head.

        One made for a result wins. Which turn uploaded it does not matter: a bundle is kept once, and a turn
        without a new commit hands over the one of the turn before.
        """
        if self._found is None:
            rows = Snapshot.objects.filter(worker_id__in=self._worker_ids, head_sha__in=self._heads)
            ranked = sorted(
                rows.order_by("created_at").values_list("worker_id", "head_sha", "name", "sha256", "reason"),
                key=lambda row: row[-1] == SnapshotReason.RESULT,
            )
            self._found = {(worker_id, head): (name, sha256) for worker_id, head, name, sha256, _ in ranked}
        return self._found.get((turn.worker_id, head_sha))


def _claimed_commit(body: object) -> str:
    return getattr(body, "commit_sha", None) or ""


def _apply_results(reports: Iterable[Report], turns: dict[UUID, Turn], facts: Facts) -> None:
    """End the turns that have a result: of several results of a turn the first one counts."""
    bundles = _Bundles(reports)
    ends: dict[TurnStatus, dict[UUID, dict[str, Any]]] = {}
    seen: set[UUID] = set()
    for report in reports:
        turn = turns.get(report.turn_id) if report.turn_id else None
        if (
            turn is None
            or not isinstance(report.body, Result)
            or turn.pk in seen
            or turn.status in _TURN_FINAL
        ):
            continue
        seen.add(turn.pk)
        status, columns = _end_of(turn, report.body, report.words, bundles)
        ends.setdefault(status, {})[turn.pk] = columns
    for status in sorted(ends):
        facts.turns |= Turn.try_transition_many(ends[status], to=status)


def _end_of(
    turn: Turn, body: Result, words: dict[str, Any], bundles: _Bundles
) -> tuple[TurnStatus, dict[str, Any]]:
    """Return how a result ends its turn, and what the turn's row keeps of it."""
    commit_sha = _claimed_commit(body)
    bundle = bundles.find(turn, commit_sha) if commit_sha else None
    bundle_name, bundle_sha256 = bundle or ("", "")
    ending = outcomes.turn_ending(body, has_bundle=bundle is not None)
    return ending.status, {
        "failure": None if ending.failure is None else ending.failure.as_json(),
        "result": words,
        "commit_sha": commit_sha,
        "branch": (getattr(body, "branch", None) or "")[:120],
        "bundle_name": bundle_name,
        "bundle_sha256": bundle_sha256,
        "summary": getattr(body, "summary", None) or getattr(body, "text", ""),
        "exit_code": _bounded(getattr(body, "exit_code", None)),
        "duration_ms": _bounded(getattr(body, "duration_ms", None)),
        "usage": words["usage"],
        "finished_at": timezone.now(),
    }


def _bounded(number: int | None) -> int | None:
    return None if number is None else max(-outcomes.MAX_COUNT, min(number, outcomes.MAX_COUNT))


Store = Callable[[Sequence[Report]], Facts]
