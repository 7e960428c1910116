"""A worker's life against a fake runtime and the real channel, in the order in which things may break."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from apps.workers import outcomes, services
from apps.workers.channel import Channel, ChannelUnavailable, connect
from apps.workers.composition import Hands, container_spec
from apps.workers.followups import FollowUp
from apps.workers.models import AgentConfig, Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.reconciler_orphans import remove_orphans
from apps.workers.reconciler_turns import reconcile_turn
from apps.workers.requests import WorkerRequest
from apps.workers.runtime.base import ContainerSpec, Phase, RuntimeUnavailable
from tests.apps.workers.conftest import Harness, MakeWorker, settle, step
from tests.apps.workers.test_consumer import result, started
from tests.factories import make_turn, make_user, make_worker
from tests.fakes_runtime import DEFAULT_IMAGE, FakeRuntime
from worker_image.contract import DeveloperWorkerInput, input_stream, output_stream

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_pending_worker_gets_a_place_then_its_user_then_its_container(
    operator: Channel, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = make_worker(status=WorkerStatus.PENDING, config={"auth_mode": "none"})

    claimed = step(worker, hands)
    step(worker, hands)

    assert claimed == [FollowUp(kind="worker", id=worker.pk)]
    assert worker.status == WorkerStatus.STARTING
    assert operator.is_admitted(worker.pk)
    assert runtime.started == [worker.container_name]
    assert worker.observed_at is not None


def test_container_gets_its_own_secrets_and_no_others(hands: Hands, settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-openai-123456"
    settings.ANTHROPIC_API_KEY = "sk-anthropic-123456"
    worker = make_worker(agent_type="claude", config={"auth_mode": "api_key", "env_vars": {"MODE": "x"}})

    environment = container_spec(worker).environment

    assert environment["ANTHROPIC_API_KEY"] == "sk-anthropic-123456"
    assert environment["AGENT_VARIABLES"] == '["MODE"]'
    assert f"worker-{worker.pk}:" in environment["REDIS_URL"]
    assert "OPENAI_API_KEY" not in environment
    assert settings.SECRET_KEY not in repr(container_spec(worker))
    assert environment["WORKER_TOKEN"] not in repr(container_spec(worker))


def test_container_gets_the_model_of_its_agents_configuration(hands: Hands) -> None:
    AgentConfig.objects.create(name="on", agent_type="codex", model="best-1")
    request = WorkerRequest(worker_type="po", owner_id=make_user().pk)
    worker_id = services.request_worker(idempotency_key="key", request=request)

    environment = container_spec(Worker.objects.get(pk=worker_id)).environment

    assert environment["CODEX_MODEL"] == "best-1"


def test_starts_are_bounded_and_first_come_first_served(hands: Hands) -> None:
    workers = [make_worker(status=WorkerStatus.PENDING) for _ in range(4)]

    for worker in reversed(workers):
        step(worker, hands)
    for worker in workers:
        step(worker, hands)

    assert [worker.status for worker in workers] == ["starting", "starting", "pending", "pending"]


def test_end_of_a_worker_wakes_the_next_in_line(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    first, _ = running(), running()
    waiting = make_worker(status=WorkerStatus.PENDING)
    assert step(waiting, hands) == []
    runtime.finish(first.container_name, 1)

    follow_ups = step(first, hands)

    assert follow_ups == [FollowUp(kind="worker", id=waiting.pk)]
    assert step(waiting, hands) == [FollowUp(kind="worker", id=waiting.pk)]


def test_worker_without_a_place_ends_as_resource_exhausted(running: MakeWorker, hands: Hands) -> None:
    running()
    running()
    worker = make_worker(status=WorkerStatus.PENDING, deadline_at=timezone.now())

    settle(worker, hands)

    assert worker.status == WorkerStatus.FAILED
    assert worker.failure is not None
    assert worker.failure["code"] == "resource_exhausted"
    assert worker.removed_at is not None


def test_start_whose_answer_was_lost_is_adopted(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.STARTING)
    runtime.fails_after.add("start")
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)

    step(worker, hands)

    assert runtime.started == [worker.container_name]
    assert worker.status == WorkerStatus.STARTING


def test_container_that_was_made_but_never_started_is_started(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.STARTING)
    runtime.is_cut_off = True
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)

    step(worker, hands)

    state = runtime.inspect(worker.container_name)
    assert state is not None
    assert (state.phase, runtime.started) == (Phase.RUNNING, [worker.container_name])
    assert worker.observed_at is not None


def test_container_that_can_never_be_started_again_is_lost_at_once(
    hands: Hands, runtime: FakeRuntime
) -> None:
    worker = make_worker(status=WorkerStatus.STARTING)
    runtime.is_cut_off = True
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)
    runtime.is_unstartable = True

    settle(worker, hands, times=3)

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.CRASHED, "container_lost")
    assert worker.failure["retryable"]
    assert runtime.inspect(worker.container_name) is None


def test_start_that_is_proven_is_not_repeated(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running(status=WorkerStatus.STARTING)
    runtime.calls.clear()

    step(worker, hands)

    assert "start" not in {verb for verb, _ in runtime.calls}


@pytest.mark.parametrize(("exit_code", "code"), [(137, "worker_exited"), (0, "worker_stopped")])
def test_worker_that_dies_before_its_first_word_is_not_waited_for(
    hands: Hands, runtime: FakeRuntime, exit_code: int, code: str
) -> None:
    worker = make_worker(status=WorkerStatus.STARTING)
    runtime.fails_after.add("start")
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)
    runtime.finish(worker.container_name, exit_code)

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.failure["code"], worker.exit_code) == (code, exit_code)


def test_worker_whose_container_vanished_before_its_first_word_is_lost(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running(status=WorkerStatus.STARTING)
    runtime.vanish(worker.container_name)

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.CRASHED, "container_lost")


def test_worker_that_had_ended_before_it_was_canceled_says_how(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    runtime.finish(worker.container_name, 0)
    services.cancel_worker(worker_id=worker.pk)

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.FAILED, "worker_stopped")


@pytest.mark.parametrize(("seconds", "status"), [(-1, WorkerStatus.FAILED), (1, WorkerStatus.CANCELED)])
def test_worker_that_was_stopped_by_others_is_canceled_only_if_we_asked_first(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, seconds: int, status: WorkerStatus
) -> None:
    worker = running()
    failure = outcomes.platform_failure("worker_stopped", "stopped", stage="turn").as_json()
    said_at = timezone.now() + timedelta(seconds=seconds)
    make_turn(worker=worker, status=TurnStatus.CRASHED, failure=failure, finished_at=said_at)
    services.cancel_worker(worker_id=worker.pk)
    runtime.ignores_sigterm = True
    step(worker, hands)
    assert worker.stop_asked_at is not None
    runtime.finish(worker.container_name, 0)

    settle(worker, hands)

    assert worker.status == status


def test_worker_that_never_reports_ends_as_spawn_timeout(running: MakeWorker, hands: Hands) -> None:
    worker = running(status=WorkerStatus.STARTING, deadline_at=timezone.now())

    settle(worker, hands)

    assert worker.status == WorkerStatus.CRASHED
    assert worker.failure is not None
    assert worker.failure["code"] == "spawn_timeout"


def test_start_that_is_never_possible_ends_as_spawn_timeout(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.STARTING, deadline_at=timezone.now())

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.CRASHED, "spawn_timeout")
    assert runtime.started == []


def test_stale_heartbeat_of_a_living_container_is_not_death(running: MakeWorker, hands: Hands) -> None:
    worker = running(heartbeat_at=timezone.now() - timedelta(hours=1))

    settle(worker, hands)

    assert worker.status == WorkerStatus.RUNNING


def test_runtime_that_is_down_says_nothing_about_the_worker(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    runtime.is_down = True

    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)

    worker.refresh_from_db()
    assert worker.status == WorkerStatus.RUNNING


def test_channel_that_is_down_does_not_end_a_dead_worker_early(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    runtime.finish(worker.container_name, 1)
    blind = replace(hands, channel=Channel(connect("redis://127.0.0.1:1/0")))

    with pytest.raises(ChannelUnavailable):
        step(worker, blind)

    worker.refresh_from_db()
    assert (worker.status, worker.removed_at is not None) == (WorkerStatus.RUNNING, True)


@pytest.mark.parametrize(
    ("exit_code", "oom", "status", "code"),
    [
        (1, False, WorkerStatus.CRASHED, "worker_exited"),
        (0, False, WorkerStatus.FAILED, "worker_stopped"),
        (137, True, WorkerStatus.CRASHED, "out_of_memory"),
        (2, False, WorkerStatus.CRASHED, "worker_misconfigured"),
    ],
)
def test_death_is_recorded_before_the_container_is_removed(
    running: MakeWorker,
    hands: Hands,
    runtime: FakeRuntime,
    exit_code: int,
    oom: bool,
    status: WorkerStatus,
    code: str,
) -> None:
    worker = running()
    token = container_spec(worker).environment["WORKER_TOKEN"]
    runtime.say(worker.container_name, f"oops {token} redis://u:p4ssw0rd@host/0")
    runtime.finish(worker.container_name, exit_code, oom_killed=oom)

    settle(worker, hands)

    assert worker.status == status
    assert worker.failure is not None
    assert worker.failure["code"] == code
    assert (worker.exit_code, worker.oom_killed) == (exit_code, oom)
    assert worker.log_tail == "oops *** redis://***@host/0"
    assert worker.image_digest == DEFAULT_IMAGE
    assert runtime.inspect(worker.container_name) is None


def test_container_that_vanished_is_a_crash(running: MakeWorker, hands: Hands, runtime: FakeRuntime) -> None:
    worker = running()
    runtime.vanish(worker.container_name)

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.CRASHED, "container_lost")


def test_death_does_not_overtake_the_result(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, harness: Harness
) -> None:
    worker = running()
    turn = make_turn(worker=worker, status=TurnStatus.RUNNING)
    harness.say(worker, result(turn, summary="done"))
    runtime.finish(worker.container_name, 1)
    step(worker, hands)
    assert worker.status == WorkerStatus.RUNNING
    assert (worker.removed_at is not None, worker.drained_at) == (True, None)

    harness.consumer.step()
    step(worker, hands)

    turn.refresh_from_db()
    assert (worker.status, turn.status) == (WorkerStatus.CRASHED, TurnStatus.SUCCEEDED)
    assert hands.channel.list_known_workers() == set()


def test_unfinished_turn_of_a_dead_worker_crashes(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    turn = make_turn(worker=worker, status=TurnStatus.RUNNING)
    runtime.finish(worker.container_name, 1)

    settle(worker, hands)

    turn.refresh_from_db()
    assert turn.status == TurnStatus.CRASHED
    assert turn.failure is not None
    assert turn.failure["kind"] == "platform"


def test_released_worker_is_asked_to_stop_and_succeeds(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    services.release_worker(worker_id=worker.pk)

    settle(worker, hands)

    assert worker.status == WorkerStatus.SUCCEEDED
    verbs = [verb for verb, _ in runtime.calls]
    assert verbs.index("ask_to_stop") < verbs.index("remove")


def test_worker_that_ignores_the_request_is_removed_after_the_grace(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    runtime.ignores_sigterm = True
    services.cancel_worker(worker_id=worker.pk)
    settle(worker, hands)
    assert worker.status == WorkerStatus.CANCELING

    Worker.objects.filter(pk=worker.pk).update(stop_asked_at=F("stop_asked_at") - timedelta(seconds=11))
    settle(worker, hands)

    assert worker.status == WorkerStatus.CANCELED
    assert runtime.inspect(worker.container_name) is None


def test_worker_canceled_before_it_started_leaves_nothing(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.PENDING)
    services.cancel_worker(worker_id=worker.pk)

    settle(worker, hands)

    assert worker.status == WorkerStatus.CANCELED
    assert worker.removed_at is not None
    assert runtime.started == []


def test_flooding_worker_fails_without_its_output_being_read(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, harness: Harness
) -> None:
    worker = running()
    harness.say(worker, started(worker))
    Worker.objects.filter(pk=worker.pk).update(stop_failure=outcomes.flood(10).as_json())

    step(worker, hands)

    assert worker.status == WorkerStatus.FAILED
    assert worker.failure is not None
    assert worker.failure["code"] == outcomes.FLOOD_CODE
    assert hands.channel.client.exists(output_stream(str(worker.pk))) == 0
    assert "ask_to_stop" not in [verb for verb, _ in runtime.calls]


@pytest.mark.parametrize("died_after", ["remove", "inspect", "logs"])
def test_step_cut_off_anywhere_is_finished_by_the_next(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, died_after: str
) -> None:
    worker = running()
    runtime.finish(worker.container_name, 3)
    runtime.fails_after.add(died_after)
    with pytest.raises(RuntimeUnavailable):
        step(worker, hands)

    settle(worker, hands)

    assert worker.failure is not None
    assert (worker.status, worker.exit_code) == (WorkerStatus.CRASHED, 3)
    assert worker.failure["code"] == "worker_exited"


def test_user_that_the_server_forgot_is_made_again(running: MakeWorker, hands: Hands) -> None:
    worker = running()
    hands.channel.shut_out(worker.pk)

    step(worker, hands)

    assert hands.channel.is_admitted(worker.pk)


def test_spec_that_can_never_start_is_a_typed_crash(hands: Hands) -> None:
    worker = make_worker(status=WorkerStatus.STARTING)

    def describe(row: Worker) -> ContainerSpec:
        return replace(container_spec(row), command=())

    settle(worker, replace(hands, describe=describe))

    assert worker.failure is not None
    assert (worker.status, worker.failure["code"]) == (WorkerStatus.FAILED, "container_refused")


def test_final_worker_is_left_alone(hands: Hands, runtime: FakeRuntime) -> None:
    worker = make_worker(status=WorkerStatus.SUCCEEDED)

    assert step(worker, hands) == []
    assert runtime.calls == []


def test_turn_is_sent_once_to_a_worker_that_has_a_container(running: MakeWorker, hands: Hands) -> None:
    worker = running(status=WorkerStatus.STARTING)
    turn = make_turn(worker=worker)

    for _ in range(3):
        reconcile_turn(turn_id=turn.pk, hands=hands)

    turn.refresh_from_db()
    entries: Any = hands.channel.client.xrange(input_stream(str(worker.pk)))
    assert turn.status == TurnStatus.RUNNING
    assert [entry_id for entry_id, _ in entries] == [b"1-0"]
    message = DeveloperWorkerInput.read(entries[0][1][b"data"])
    assert (message.request_id, message.branch) == (str(turn.pk), worker.branch)


@pytest.mark.parametrize("worker_type", ["developer", "po"])
def test_standing_orders_are_an_input_of_the_container_and_not_part_of_the_prompt(
    hands: Hands, runtime: FakeRuntime, worker_type: str
) -> None:
    config = {"auth_mode": "none", "instructions": "Be brief."}
    worker = make_worker(status=WorkerStatus.PENDING, worker_type=worker_type, config=config)
    turn = make_turn(worker=worker, prompt="<task>\nbooks\n</task>")
    settle(worker, hands, times=2)

    reconcile_turn(turn_id=turn.pk, hands=hands)

    entries: Any = hands.channel.client.xrange(input_stream(str(worker.pk)))
    orders = runtime.inputs_of(worker.container_name)["instructions.md"]
    environment = runtime.spec_of(worker.container_name).environment
    assert b"Be brief." in orders
    assert environment["INSTRUCTIONS_SHA256"] == hashlib.sha256(orders).hexdigest()
    assert json.loads(entries[0][1][b"data"])["prompt"] == "<task>\nbooks\n</task>"


def test_turn_waits_for_a_worker_without_a_container(hands: Hands) -> None:
    turn = make_turn(worker=make_worker(status=WorkerStatus.PENDING))

    reconcile_turn(turn_id=turn.pk, hands=hands)

    turn.refresh_from_db()
    assert turn.status == TurnStatus.PENDING


def test_input_lost_with_its_server_is_sent_again(running: MakeWorker, hands: Hands) -> None:
    turn = make_turn(worker=running())
    reconcile_turn(turn_id=turn.pk, hands=hands)
    hands.channel.client.flushall()
    Turn.objects.filter(pk=turn.pk).update(sent_at=timezone.now() - timedelta(minutes=1))

    reconcile_turn(turn_id=turn.pk, hands=hands)

    assert hands.channel.client.xlen(input_stream(str(turn.worker_id))) == 1


def test_turn_without_a_result_times_out_and_ends_its_worker(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    turn = make_turn(worker=worker, status=TurnStatus.RUNNING, deadline_at=timezone.now())

    follow_ups = reconcile_turn(turn_id=turn.pk, hands=hands)
    settle(worker, hands)

    turn.refresh_from_db()
    assert follow_ups == [FollowUp(kind="worker", id=worker.pk)]
    assert turn.failure is not None
    assert (turn.status, turn.failure["code"]) == (TurnStatus.FAILED, "timeout")
    assert worker.status == WorkerStatus.FAILED


def test_turn_of_an_ended_worker_crashes(hands: Hands) -> None:
    turn = make_turn(worker=make_worker(status=WorkerStatus.CRASHED))

    reconcile_turn(turn_id=turn.pk, hands=hands)

    turn.refresh_from_db()
    assert turn.status == TurnStatus.CRASHED


def test_orphans_of_ended_rows_are_removed_and_strangers_are_not(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    alive, ended, unknown = running(), running(), running()
    Worker.transition(ended.pk, to=WorkerStatus.CRASHED)
    Worker.objects.filter(pk=unknown.pk).delete()
    stranger = replace(container_spec(alive), name="somebody-elses")
    runtime.start(stranger)

    removed = remove_orphans(hands=hands)

    names = {state.name for state in runtime.list_owned()}
    assert names == {alive.container_name, unknown.container_name, "somebody-elses"}
    assert removed == 2
    assert hands.channel.list_known_workers() == {alive.pk, unknown.pk}
