"""Reading the result channel: nothing lost, nothing applied twice, nobody else disturbed."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError, OperationalError

from apps.workers import consumer_apply, outcomes
from apps.workers.channel import Channel
from apps.workers.consumer_apply import Facts
from apps.workers.consumer_parse import Report
from apps.workers.credentials import credentials_of
from apps.workers.models import (
    DeadLetter,
    Snapshot,
    Turn,
    TurnStatus,
    Worker,
    WorkerEvent,
    WorkerStatus,
)
from apps.workers.selectors import list_progress
from tests.apps.workers.conftest import Harness
from tests.factories import make_sha, make_turn
from worker_image.contract import (
    DeveloperWorkerOutput,
    Heartbeat,
    LifecycleEvent,
    Phase,
    ProgressEvent,
    ProgressType,
    ResultStatus,
    WorkerLifecycleEvent,
    input_stream,
    output_stream,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MakeWorker = Callable[..., Worker]


def started(worker: Worker) -> WorkerLifecycleEvent:
    return WorkerLifecycleEvent(worker_id=str(worker.pk), event=LifecycleEvent.STARTED)


def progress(turn: Turn, message: str = "writing") -> ProgressEvent:
    return ProgressEvent(request_id=str(turn.pk), type=ProgressType.PROGRESS, message=message, progress_pct=5)


def result(turn: Turn, **fields: Any) -> DeveloperWorkerOutput:
    defaults = {"task_id": "t", "status": ResultStatus.SUCCESS, "duration_ms": 12}
    return DeveloperWorkerOutput(request_id=str(turn.pk), **{**defaults, **fields})


def upload(turn: Turn, head_sha: str, *, worker: Worker | None = None, reason: str = "result") -> Snapshot:
    return Snapshot.objects.create(
        worker=worker or turn.worker,
        turn_id=turn.pk,
        reason=reason,
        branch="task/x",
        base_sha=make_sha("base"),
        head_sha=head_sha,
        name=f"snapshots/{reason}.bundle",
        sha256=uuid4().hex * 2,
        size_bytes=10,
    )


def test_first_word_makes_a_starting_worker_run(admitted: MakeWorker, harness: Harness) -> None:
    worker = admitted(status=WorkerStatus.STARTING)
    harness.say(worker, started(worker))

    harness.consumer.step()

    worker.refresh_from_db()
    assert (worker.status, worker.boot) == (WorkerStatus.RUNNING, "boot-a")
    assert harness.told.workers == {worker.pk}
    assert harness.length(worker) == 0


def test_heartbeat_is_kept_on_the_row_only(admitted: MakeWorker, harness: Harness) -> None:
    worker = admitted()
    harness.say(worker, Heartbeat(phase=Phase.IDLE), seq=1)
    harness.say(worker, Heartbeat(phase=Phase.RUNNING, output_bytes=7), seq=2)

    harness.consumer.step()

    worker.refresh_from_db()
    assert worker.heartbeat is not None
    assert (worker.heartbeat["phase"], worker.heartbeat["output_bytes"]) == ("running", 7)
    assert worker.heartbeat_at is not None
    assert WorkerEvent.objects.count() == 0


def test_progress_is_listed_for_its_turn(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    harness.say(turn.worker, progress(turn, "one"), seq=1)
    harness.say(turn.worker, progress(turn, "two"), seq=2)

    harness.consumer.step()

    lines = list_progress(turn_id=turn.pk)
    assert [line.message for line in lines] == ["one", "two"]
    assert [line.message for line in list_progress(turn_id=turn.pk, after_id=lines[0].id)] == ["two"]
    assert harness.told.progressed == {turn.pk}


def test_result_ends_its_turn_with_the_uploaded_bundle(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    sha = make_sha()
    periodic = upload(turn, sha, reason="periodic")
    final = upload(turn, sha)
    harness.say(turn.worker, result(turn, commit_sha=sha, branch="task/x", summary="done"))

    harness.consumer.step()

    turn.refresh_from_db()
    assert (turn.status, turn.commit_sha, turn.branch) == (TurnStatus.SUCCEEDED, sha, "task/x")
    assert (turn.bundle_name, turn.bundle_sha256) == (final.name, final.sha256)
    assert turn.bundle_sha256 != periodic.sha256
    assert harness.told.turns == {turn.pk}


def test_result_is_accepted_before_the_worker_was_seen_running(
    admitted: MakeWorker, harness: Harness
) -> None:
    turn = make_turn(worker=admitted(status=WorkerStatus.STARTING))
    harness.say(turn.worker, result(turn))

    harness.consumer.step()

    turn.refresh_from_db()
    assert turn.status == TurnStatus.SUCCEEDED


def test_later_turn_without_a_new_commit_has_the_bundle_of_the_one_before(
    admitted: MakeWorker, harness: Harness
) -> None:
    first = make_turn(worker=admitted(), status=TurnStatus.SUCCEEDED)
    second = make_turn(worker=first.worker, status=TurnStatus.RUNNING, number=2)
    sha = make_sha()
    kept = upload(first, sha)
    harness.say(second.worker, result(second, commit_sha=sha, branch="task/x"))

    harness.consumer.step()

    second.refresh_from_db()
    assert (second.status, second.bundle_name) == (TurnStatus.SUCCEEDED, kept.name)


def test_claimed_commit_without_its_bundle_is_a_failure(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    sha = make_sha()
    upload(turn, sha, worker=admitted())
    harness.say(turn.worker, result(turn, commit_sha=sha))

    harness.consumer.step()

    turn.refresh_from_db()
    assert turn.status == TurnStatus.FAILED
    assert turn.failure is not None
    assert turn.failure["code"] == "snapshot_missing"


def test_first_outcome_of_a_turn_wins(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    harness.say(turn.worker, result(turn, status=ResultStatus.TIMEOUT, error_code="timeout"), seq=1)
    harness.say(turn.worker, result(turn), seq=2)

    harness.consumer.step()

    turn.refresh_from_db()
    assert (turn.status, turn.failure and turn.failure["code"]) == (TurnStatus.FAILED, "timeout")


def test_results_of_a_batch_end_their_turns_in_as_many_statements_as_one(
    admitted: MakeWorker, harness: Harness, django_assert_max_num_queries: Any
) -> None:
    turns = [make_turn(worker=admitted(), status=TurnStatus.RUNNING) for _ in range(12)]
    harness.consumer.step()
    for turn in turns[:6]:
        harness.say(turn.worker, result(turn, summary=f"done {turn.pk}"))
    for turn in turns[6:]:
        harness.say(turn.worker, result(turn, status=ResultStatus.TIMEOUT, error_code="timeout"))

    with django_assert_max_num_queries(12):
        harness.consumer.step()

    for turn in turns:
        turn.refresh_from_db()
    assert [turn.status for turn in turns] == [TurnStatus.SUCCEEDED] * 6 + [TurnStatus.FAILED] * 6
    assert all(turn.summary == f"done {turn.pk}" for turn in turns[:6])
    assert harness.told.turns == {turn.pk for turn in turns}


def test_later_start_in_the_same_batch_names_the_boot(admitted: MakeWorker, harness: Harness) -> None:
    fresh, running = admitted(status=WorkerStatus.STARTING), admitted()
    for worker in (fresh, running):
        harness.say(worker, started(worker), boot="boot-a")
        harness.say(worker, started(worker), boot="boot-b")

    harness.consumer.step()

    fresh.refresh_from_db()
    running.refresh_from_db()
    assert (fresh.status, fresh.boot, running.boot) == (WorkerStatus.RUNNING, "boot-b", "boot-b")
    assert harness.told.workers == {fresh.pk}


def test_redelivered_entry_is_applied_once(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    for _ in range(3):
        harness.say(turn.worker, progress(turn), seq=1)

    harness.consumer.step()
    harness.say(turn.worker, progress(turn), seq=1)
    harness.consumer.step()

    assert WorkerEvent.objects.count() == 1
    assert harness.length(turn.worker) == 0


def test_death_between_commit_and_acknowledgement_repeats_harmlessly(
    admitted: MakeWorker, harness: Harness
) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    harness.say(turn.worker, progress(turn), seq=1)
    harness.say(turn.worker, result(turn), seq=2)

    def store_and_die(reports: Sequence[Report]) -> Facts:
        consumer_apply.store(reports)
        raise SystemExit

    with pytest.raises(SystemExit):
        harness.another(store=store_and_die).step()

    harness.consumer.step()

    turn.refresh_from_db()
    assert turn.status == TurnStatus.SUCCEEDED
    assert WorkerEvent.objects.count() == 2
    assert (harness.length(turn.worker), harness.pending(turn.worker)) == (0, 0)


def test_every_entry_of_a_dead_consumer_is_claimed(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    for seq in range(1, 1_501):
        harness.say(turn.worker, progress(turn), seq=seq)
    client: Any = harness.operator.client
    stream = output_stream(str(turn.worker_id))
    client.xreadgroup("control-plane", "dead", {stream: ">"}, count=1_500)

    harness.consumer.step()

    assert WorkerEvent.objects.count() == 1_500
    assert harness.pending(turn.worker) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"\xff\x00\xfe",
        b"{}",
        b"[" * 100_000,
        json.dumps({"v": 2, "boot": "b", "seq": 1, "kind": "heartbeat", "body": {}}).encode(),
        json.dumps(
            {"v": 1, "boot": "b" * 100, "seq": 1, "kind": "heartbeat", "body": {"phase": "idle"}}
        ).encode(),
        json.dumps(
            {"v": 1, "boot": "b", "seq": 2**70, "kind": "heartbeat", "body": {"phase": "idle"}}
        ).encode(),
        json.dumps({"v": 1, "boot": "b", "seq": 1, "kind": "result", "body": {"request_id": "x"}}).encode(),
        json.dumps(
            {
                "v": 1,
                "boot": "b",
                "seq": 1,
                "kind": "progress",
                "body": {"request_id": "x", "type": "started"},
            }
        ).encode(),
    ],
)
def test_unreadable_entry_becomes_a_dead_letter_before_it_is_acknowledged(
    admitted: MakeWorker, harness: Harness, data: bytes
) -> None:
    worker = admitted()
    entry_id = harness.say_raw(worker, data)
    harness.say(worker, started(worker), seq=9)

    harness.consumer.step()

    letter = DeadLetter.objects.get()
    assert (letter.worker_id, letter.entry_id) == (worker.pk, entry_id)
    assert "data" in json.loads(letter.payload)
    assert harness.length(worker) == 0
    assert WorkerEvent.objects.count() == 1


def test_words_about_a_strangers_turn_are_refused(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    stranger = admitted()
    harness.say(stranger, result(turn))
    harness.say(stranger, started(turn.worker), seq=2)

    harness.consumer.step()

    turn.refresh_from_db()
    assert turn.status == TurnStatus.RUNNING
    assert DeadLetter.objects.filter(worker_id=stranger.pk).count() == 2


@pytest.mark.parametrize("error", [DataError, KeyError])
def test_one_entry_that_cannot_be_stored_does_not_hold_the_others(
    admitted: MakeWorker, harness: Harness, error: type[Exception]
) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    for seq in range(1, 6):
        harness.say(turn.worker, progress(turn), seq=seq)

    def store(reports: Sequence[Report]) -> Facts:
        if any(report.seq == 3 for report in reports):
            raise error("no such value")
        return consumer_apply.store(reports)

    harness.another(store=store).step()

    assert sorted(WorkerEvent.objects.values_list("seq", flat=True)) == [1, 2, 4, 5]
    assert DeadLetter.objects.get().reason == f"could not be stored: {error.__name__}"
    assert harness.length(turn.worker) == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_while_the_database_is_away(admitted: MakeWorker, harness: Harness) -> None:
    turn = make_turn(worker=admitted(), status=TurnStatus.RUNNING)
    for seq in range(1, 4):
        harness.say(turn.worker, progress(turn), seq=seq)
    outages = iter([True, True, False])
    stop = threading.Event()

    def store(reports: Sequence[Report]) -> Facts:
        if next(outages, False):
            raise OperationalError("the database is away")
        facts = consumer_apply.store(reports)
        stop.set()
        return facts

    harness.another(store=store).run(stop)

    assert sorted(WorkerEvent.objects.values_list("seq", flat=True)) == [1, 2, 3]
    assert harness.length(turn.worker) == 0


def test_deleted_stream_does_not_stop_the_others(
    admitted: MakeWorker, harness: Harness, operator: Channel
) -> None:
    gone, alive = admitted(), admitted()
    harness.consumer.step()
    operator.drop(gone.pk)
    Worker.transition(gone.pk, to=WorkerStatus.CRASHED)
    harness.say(alive, started(alive))

    harness.consumer.step()
    harness.consumer.step()

    assert WorkerEvent.objects.get().worker_id == alive.pk
    assert operator.client.exists(output_stream(str(gone.pk))) == 0


def test_group_that_vanished_is_made_again_at_the_start(
    admitted: MakeWorker, harness: Harness, operator: Channel
) -> None:
    worker = admitted()
    harness.consumer.step()
    operator.client.flushall()
    harness.say(worker, started(worker))

    harness.consumer.step()
    harness.consumer.step()

    assert WorkerEvent.objects.get().worker_id == worker.pk


def test_entry_trimmed_by_its_author_is_counted(
    admitted: MakeWorker, harness: Harness, operator: Channel
) -> None:
    worker = admitted()
    harness.say(worker, started(worker))
    client: Any = operator.client
    client.xreadgroup("control-plane", harness.consumer.name, {output_stream(str(worker.pk)): ">"})
    client.xadd(output_stream(str(worker.pk)), {"data": "x"}, maxlen=0, approximate=False)

    harness.consumer.step()

    assert harness.consumer.trimmed_count == 1
    assert harness.pending(worker) == 0


def test_flooding_worker_is_to_be_stopped_with_that_reason(admitted: MakeWorker, harness: Harness) -> None:
    loud, quiet = admitted(), admitted()
    for seq in range(1, 12):
        harness.say(loud, Heartbeat(phase=Phase.IDLE), seq=seq)
    harness.say(quiet, started(quiet))
    consumer = harness.another(flood_limit=10)

    consumer.step()
    harness.say(loud, Heartbeat(phase=Phase.IDLE), seq=50)
    consumer.step()

    loud.refresh_from_db()
    assert loud.stop_failure is not None
    assert loud.stop_failure["code"] == outcomes.FLOOD_CODE
    assert harness.told.look_at == {loud.pk}
    assert harness.length(loud) == 1
    assert Worker.objects.get(pk=quiet.pk).stop_failure is None


def test_worker_that_gives_up_is_to_be_ended(admitted: MakeWorker, harness: Harness) -> None:
    worker = admitted(status=WorkerStatus.STARTING)
    gave_up = WorkerLifecycleEvent(
        worker_id=str(worker.pk), event=LifecycleEvent.FAILED, error="no workspace"
    )
    harness.say(worker, gave_up)

    harness.consumer.step()

    worker.refresh_from_db()
    assert worker.stop_failure is not None
    assert worker.stop_failure["message"] == "no workspace"
    assert harness.told.look_at == {worker.pk}


def test_wake_up_shows_a_new_worker_at_once(
    admitted: MakeWorker, harness: Harness, operator: Channel
) -> None:
    first = admitted()
    harness.consumer.step()
    second = admitted()
    harness.say(second, started(second))

    harness.consumer.step()
    harness.consumer.step()

    assert {event.worker_id for event in WorkerEvent.objects.all()} == {second.pk}
    assert first.pk != second.pk
    assert operator.client.xlen("worker:wakeup") == 0
    assert operator.client.exists(input_stream(str(second.pk))) == 1


def test_batches_are_stored_faster_than_two_thousand_entries_a_second(
    admitted: MakeWorker, harness: Harness
) -> None:
    turns = [make_turn(worker=admitted(), status=TurnStatus.RUNNING) for _ in range(4)]
    for turn in turns:
        for seq in range(1, 501):
            harness.say(turn.worker, progress(turn), seq=seq)
    consumer = harness.another()

    began = time.monotonic()
    handled = 0
    while handled < 2_000:
        handled += consumer.step()
    seconds = time.monotonic() - began

    assert WorkerEvent.objects.count() == 2_000
    # The bar is 2,000/s; tests share two cores with others.
    assert 2_000 / seconds > 500, f"{2_000 / seconds:.0f} entries/s"


def test_no_row_keeps_a_worker_s_token_or_a_provider_s_key(
    harness: Harness, admitted: MakeWorker, settings: Any
) -> None:
    settings.ANTHROPIC_API_KEY = key = "sk-ant-0123456789abcdef"
    turn = make_turn(worker=admitted(agent_type="claude"), status=TurnStatus.RUNNING)
    token = credentials_of(turn.worker.pk).token
    words = f"token {token} and key {key}"
    harness.say(turn.worker, progress(turn, words), seq=1)
    failed = {"status": ResultStatus.FAILED, "error": words, "error_code": "agent_exit"}
    harness.say(turn.worker, result(turn, summary=words, **failed), seq=2)
    harness.say_raw(turn.worker, f"no JSON: {words}")

    harness.consumer.step()

    turn.refresh_from_db()
    bodies = list(WorkerEvent.objects.values_list("body", flat=True))
    kept = [*bodies, turn.result, turn.summary, turn.failure, DeadLetter.objects.get().payload]
    assert turn.summary == "token *** and key ***"
    assert len(bodies) == 2
    for secret in (token, key):
        assert secret not in json.dumps(kept)
