"""How many entries a second one consumer takes from the channel into the database.

What is measured is ``ResultConsumer.step``: the read, the parsing, the transaction
of each batch, the acknowledgement. Two loads: ``turns``, the life of a worker with
one turn (started, heartbeats, progress, result), and ``results`` alone, each of
which ends a turn of its own. Beside them, in the same run, the bare insert: the
same number of events, parsed already, written in transactions of the same size.
"""

import json
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from apps.workers.channel import Channel
from apps.workers.consumer import Pace, ResultConsumer
from apps.workers.consumer_apply import Facts
from apps.workers.models import Snapshot, Turn, TurnStatus, Worker, WorkerEvent, WorkerStatus
from tests.factories import make_sha, make_user
from worker_image.contract import (
    DATA_FIELD,
    DeveloperWorkerOutput,
    Heartbeat,
    LifecycleEvent,
    OutputBody,
    OutputKind,
    Phase,
    ProgressEvent,
    ProgressType,
    ResultStatus,
    SnapshotReason,
    Usage,
    WorkerLifecycleEvent,
    envelope,
    output_stream,
)

BATCH = Pace().batch
PROGRESS_PER_TURN = 16
HEARTBEATS_PER_TURN = 2
ENTRIES_PER_TURN = 1 + PROGRESS_PER_TURN + HEARTBEATS_PER_TURN + 1
_UNLIMITED = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The figures of one load; medians of the rounds."""

    entries_per_second: float
    cpu_ms_per_entry: float  # of this process alone: comparable on a busy machine, too
    entries: int  # of one round


def measure(channel: Channel, *, entries: int = 5_000, rounds: int = 3) -> dict[str, Measured]:
    """Measure every load in turn, ``rounds`` times; one more is thrown away.

    Args:
        channel: an empty one.
        entries: about how many of one load; of results, which need a worker each, a fifth of it.
        rounds: how often; what else the machine does hits all loads alike.

    """
    owner_id = make_user().pk
    workers = max(1, entries // ENTRIES_PER_TURN)
    loads: dict[str, Callable[[], Sample]] = {
        "bare": lambda: _insert(entries, owner_id),
        "turns": lambda: _consume(
            channel, _make_turns(workers, owner_id, WorkerStatus.STARTING), _whole_turn
        ),
        "results": lambda: _consume(
            channel, _make_turns(entries // 5, owner_id, WorkerStatus.RUNNING), _result_alone
        ),
    }
    found: dict[str, list[Sample]] = {name: [] for name in loads}
    for _ in range(rounds + 1):
        for name, load in loads.items():
            found[name].append(load())
    return {name: _medians(samples[1:]) for name, samples in found.items()}


def as_text(measured: dict[str, Measured]) -> str:
    """Return the figures as JSON."""
    return json.dumps({name: asdict(figures) for name, figures in measured.items()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One load, once."""

    entries: int
    wall_seconds: float
    cpu_seconds: float


def _medians(samples: Sequence[Sample]) -> Measured:
    entries = samples[0].entries
    return Measured(
        entries_per_second=round(entries / statistics.median(sample.wall_seconds for sample in samples), 1),
        cpu_ms_per_entry=round(
            1_000 * statistics.median(sample.cpu_seconds for sample in samples) / entries, 3
        ),
        entries=entries,
    )


def _timed(entries: int, act: Callable[[], None]) -> Sample:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return Sample(
        entries=entries,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
    )


def _insert(entries: int, owner_id: int) -> Sample:
    turn = _make_turns(1, owner_id, WorkerStatus.RUNNING)[0]
    events = [
        WorkerEvent(
            worker_id=turn.worker_id,
            boot="bench",
            seq=number,
            kind=OutputKind.PROGRESS,
            body=_progress(turn, number).model_dump(mode="json"),
            turn_id=turn.pk,
        )
        for number in range(entries)
    ]

    def act() -> None:
        for start in range(0, entries, BATCH):
            with transaction.atomic():
                WorkerEvent.objects.bulk_create(events[start : start + BATCH])

    return _timed(entries, act)


def _consume(channel: Channel, turns: Sequence[Turn], words: Callable[[Turn], list[OutputBody]]) -> Sample:
    told = Facts()
    pace = Pace(block_ms=10)
    consumer = ResultConsumer(
        channel=channel, client=channel.client, tell=told.add, flood_limit=_UNLIMITED, pace=pace
    )
    said = {turn.worker_id: words(turn) for turn in turns}
    expected = sum(map(len, said.values()))
    consumer.step()  # it has seen its workers, as one that runs for a while has
    _say(channel, said)

    def act() -> None:
        handled = 0
        while handled < expected:
            handled += consumer.step()

    sample = _timed(expected, act)
    ended = Turn.objects.filter(pk__in=[turn.pk for turn in turns], status=TurnStatus.SUCCEEDED).count()
    if ended != len(turns) or len(told.turns) != len(turns):
        raise RuntimeError(f"{ended} of {len(turns)} turns have ended, and {len(told.turns)} were told of.")
    _leave(channel, turns)
    return sample


def _make_turns(count: int, owner_id: int, status: WorkerStatus) -> list[Turn]:
    """Make workers with one running turn each, and the bundle of the commit that each will claim."""
    soon = timezone.now() + timedelta(hours=1)
    workers = Worker.objects.bulk_create(
        Worker(
            idempotency_key=f"bench-{uuid4()}",
            worker_type="developer",
            agent_type="rehearsal",
            status=status,
            owner_id=owner_id,
            token_sha256=secrets.token_hex(32),
            deadline_at=soon,
        )
        for _ in range(count)
    )
    turns = Turn.objects.bulk_create(
        Turn(
            idempotency_key=f"bench-{uuid4()}",
            worker=worker,
            number=1,
            status=TurnStatus.RUNNING,
            prompt="an inventory of books",
            timeout_seconds=600,
            deadline_at=soon,
        )
        for worker in workers
    )
    Snapshot.objects.bulk_create(
        Snapshot(
            worker=turn.worker,
            turn_id=turn.pk,
            reason=SnapshotReason.RESULT,
            branch="task/bench-1",
            head_sha=make_sha(str(turn.pk)),
            name=f"snapshots/{turn.pk}.bundle",
            sha256=secrets.token_hex(32),
            size_bytes=10_000,
        )
        for turn in turns
    )
    return turns


def _leave(channel: Channel, turns: Sequence[Turn]) -> None:
    """Take the workers out of the next load's way."""
    ids = [turn.worker_id for turn in turns]
    Worker.objects.filter(pk__in=ids).update(drained_at=timezone.now())
    channel.client.delete(*(output_stream(str(worker_id)) for worker_id in ids))


def _say(channel: Channel, said: Mapping[UUID, list[OutputBody]]) -> None:
    pipe = channel.client.pipeline(transaction=False)
    for worker_id, words in said.items():
        for number, body in enumerate(words, start=1):
            text = envelope(boot="bench", seq=number, body=body).model_dump_json()
            pipe.xadd(output_stream(str(worker_id)), {DATA_FIELD: text})
    pipe.execute()


def _whole_turn(turn: Turn) -> list[OutputBody]:
    started = WorkerLifecycleEvent(worker_id=str(turn.worker_id), event=LifecycleEvent.STARTED)
    alive: list[OutputBody] = [
        Heartbeat(phase=Phase.RUNNING, output_bytes=4_096 * number, children=2)
        for number in range(HEARTBEATS_PER_TURN)
    ]
    lines: list[OutputBody] = [_progress(turn, number) for number in range(PROGRESS_PER_TURN)]
    return [started, *alive, *lines, *_result_alone(turn)]


def _progress(turn: Turn, number: int) -> ProgressEvent:
    return ProgressEvent(
        request_id=str(turn.pk),
        type=ProgressType.PROGRESS,
        message=f"Editing services/backend/src/books/module_{number}.py",
        current_step="edit",
        progress_pct=min(99, number % 100),
    )


def _result_alone(turn: Turn) -> list[OutputBody]:
    return [
        DeveloperWorkerOutput(
            request_id=str(turn.pk),
            task_id=str(turn.pk),
            status=ResultStatus.SUCCESS,
            commit_sha=make_sha(str(turn.pk)),
            branch="task/bench-1",
            summary="Added books with title, author and year, their pages and their tests. " * 4,
            exit_code=0,
            duration_ms=61_000,
            usage=Usage(input_tokens=12_000, output_tokens=3_400, cost_usd=0.12),
        )
    ]
