"""Runs driven over real PostgreSQL, with the lower apps' rows moved by the test."""

import itertools
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.graph import checkpoints, executor, services, tasks
from apps.graph.models import Question, QuestionStatus, Run, RunStatus
from apps.infra.models import Server, ServerStatus, ServiceDeployment
from apps.projects.models import MergeRequest, Project, ProjectStatus, Task, TaskEvent, TaskStatus
from apps.workers.models import Turn, Verification, Worker, WorkerEvent, WorkerStatus
from tests.apps.graph.world import World, make_deploy_world
from tests.factories import MANIFEST, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]

HAPPY_EVENTS = [
    "acknowledged",
    "worker_requested",
    "worker_ready",
    "turn_started",
    "turn_finished",
    "change_accepted",
    "checks_started",
    "checks_passed",
    "merged",
    "succeeded",
]
WAITS = ["worker", "turn", "change", "verification"]


def failure_code(world: World) -> str:
    return str((world.task.reload().failure or {}).get("code"))


def test_a_sentence_becomes_a_merged_change(world: World) -> None:
    world.start()

    world.play()

    assert (world.run.status, world.run.failure) == (RunStatus.SUCCEEDED, None)
    assert world.task.reload().status == TaskStatus.SUCCEEDED
    assert world.task.result["commit_sha"] == world.change.merge_sha
    assert world.events() == HAPPY_EVENTS


def test_a_run_leaves_one_step_per_node_and_no_memory(world: World) -> None:
    world.start()

    world.play()

    steps = list(world.run.steps.all())
    assert [step.seq for step in steps] == list(range(1, 15))
    assert [step.node for step in steps if step.waiting_for] == [
        "await_worker",
        "await_turn",
        "await_change",
        "await_verification",
        "await_merge",
    ]
    assert all(one.finished_at == two.started_at for one, two in itertools.pairwise(steps))
    assert not checkpoints.has_thread(str(world.run.pk))
    assert world.run.forgotten_at is not None


def test_a_draft_project_is_scaffolded_first() -> None:
    world = World(project_status=ProjectStatus.DRAFT)
    world.start()

    world.play()

    assert world.run.status == RunStatus.SUCCEEDED
    assert world.events()[:2] == ["acknowledged", "scaffolded"]


def test_a_failed_scaffold_ends_the_run_with_its_failure() -> None:
    world = World(project_status=ProjectStatus.DRAFT)
    world.start()
    world.play(until="project")
    record = {"stage": "scaffold", "kind": "platform", "code": "disk_full", "message": "Full."}
    Project.transition(world.project.pk, to=ProjectStatus.FAILED, failure=record)

    world.advance()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert failure_code(world) == "disk_full"


@pytest.mark.parametrize("waits_for", WAITS)
def test_a_spurious_wake_up_waits_again(world: World, waits_for: str) -> None:
    world.start()
    world.play(until=waits_for)
    before, drives = world.nodes(), world.run.drives

    for _ in range(3):
        # Even a driver that ignores the table of waits finds the node still waiting.
        executor._drive(world.run)
        world.advance()

    assert (world.run.status, world.waits_for) == (RunStatus.WAITING, waits_for)
    assert world.nodes() == before
    assert world.run.drives == drives + 3


def test_failed_checks_go_back_to_the_same_worker_with_the_evidence(world: World) -> None:
    world.start()
    world.play(until="verification")
    first_change = world.change
    world.fail_checks()

    world.play(until="turn")

    assert world.turn.worker == Worker.objects.get(task_id=world.task.pk)
    assert "checks_failed" in world.turn.prompt
    assert "assert 1 == 2" in world.turn.prompt
    assert first_change.reload().status == "canceled"
    world.play()
    assert world.run.status == RunStatus.SUCCEEDED
    assert world.run.reworks == 1


def test_reworks_are_bounded_and_the_task_fails_with_the_last_failure(world: World) -> None:
    world.start()

    for _ in range(settings.GRAPH_MAX_REWORKS + 1):
        world.play(until="verification")
        world.fail_checks("tests_removed")
    world.play()

    assert world.task.reload().status == TaskStatus.FAILED
    assert failure_code(world) == "tests_removed"
    assert Turn.objects.count() == settings.GRAPH_MAX_REWORKS + 1
    assert world.run.reworks == settings.GRAPH_MAX_REWORKS


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"commit_sha": ""}, "no_commit"),
        ({"commit_sha": "", "branch": "main"}, "wrong_branch"),
        ({"bundle_name": ""}, "no_bundle"),
    ],
)
def test_a_success_without_a_change_is_never_believed(
    world: World, fields: dict[str, str], code: str
) -> None:
    world.start()

    for _ in range(settings.GRAPH_MAX_REWORKS + 1):
        world.play(until="turn")
        world.finish_turn(**fields)
    world.play()

    assert world.task.reload().status == TaskStatus.FAILED
    assert failure_code(world) == code
    assert not MergeRequest.objects.exists()


def test_a_refused_bundle_goes_back_to_the_agent(world: World) -> None:
    world.start()
    world.play(until="change")
    world.refuse_change()

    world.play(until="turn")

    assert "protected_path" in world.turn.prompt
    assert not Verification.objects.exists()


def test_an_agents_own_no_is_final(world: World) -> None:
    world.start()
    world.play(until="turn")
    world.fail_turn("agent_reported_failure")

    world.play()

    assert world.task.reload().status == TaskStatus.FAILED
    assert failure_code(world) == "agent_reported_failure"
    assert Turn.objects.count() == 1


def test_checks_that_could_not_run_are_neither_a_pass_nor_a_rework(world: World) -> None:
    world.start()
    world.play(until="verification")
    world.crash_checks()

    world.play()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert failure_code(world) == "could_not_run"
    assert "rework" not in world.events()


def test_a_crashed_worker_is_replaced_only_after_it_is_proven_gone(world: World) -> None:
    world.start()
    world.play(until="turn")
    first = world.worker
    world.crash_worker()

    for _ in range(3):
        world.advance()

    assert world.waits_for == "removal"
    assert Worker.objects.count() == 1
    world.remove_workers()
    world.advance()
    assert Worker.objects.count() == 2
    assert world.worker.branch != first.branch
    world.play()
    assert world.run.status == RunStatus.SUCCEEDED
    assert world.run.worker_attempts == 2


def test_worker_crashes_are_bounded_and_crash_the_task(world: World) -> None:
    world.start()

    for _ in range(settings.GRAPH_MAX_WORKER_ATTEMPTS):
        world.play(until="turn")
        world.crash_worker()
    world.play()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert Worker.objects.count() == settings.GRAPH_MAX_WORKER_ATTEMPTS


def test_a_worker_that_died_during_the_checks_is_replaced_for_the_rework(world: World) -> None:
    world.start()
    world.play(until="verification")
    world.crash_worker()
    world.remove_workers()
    world.fail_checks()

    world.play()

    assert world.run.status == RunStatus.SUCCEEDED
    assert Worker.objects.count() == 2


@pytest.mark.parametrize("waits_for", [*WAITS, "merge"])
def test_cancel_works_at_every_wait(world: World, waits_for: str) -> None:
    world.start()
    world.play(until=waits_for)

    services.cancel_task(task_id=world.task.pk)
    world.advance()

    assert world.run.status == RunStatus.CANCELING
    world.end_canceled()
    if waits_for == "merge":
        world.advance()
        # A merge on its way cannot be called back: the run waits for its end.
        assert (world.run.status, world.waits_for) == (RunStatus.CANCELING, "merge")
        world.merge()
    world.advance()
    assert world.run.status == RunStatus.CANCELED
    assert world.task.reload().status == TaskStatus.CANCELED
    assert world.events()[-1] == "canceled"
    assert set(Worker.objects.values_list("status", flat=True)) == {WorkerStatus.CANCELED}


def test_cancel_before_the_first_drive_needs_no_worker(world: World) -> None:
    world.start()
    services.cancel_task(task_id=world.task.pk)

    world.advance()

    assert world.run.status == RunStatus.CANCELED
    assert not Worker.objects.exists()


def test_cancel_finds_a_worker_that_the_checkpoint_does_not_know(world: World) -> None:
    world.start()
    world.play(until="worker")
    checkpoints.delete_thread(str(world.run.pk))

    services.cancel_task(task_id=world.task.pk)
    world.advance()

    assert world.worker.status == WorkerStatus.CANCELING


def test_a_cancel_that_nothing_obeys_ends_as_a_crash(world: World) -> None:
    world.start()
    world.play(until="worker")
    services.cancel_task(task_id=world.task.pk)
    world.advance()
    long_ago = timezone.now() - executor.CANCEL_PATIENCE
    Run.objects.update(status_changed_at=long_ago)

    world.advance()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert failure_code(world) == "cancel_incomplete"


@pytest.mark.parametrize("waits_for", WAITS)
def test_a_passed_deadline_ends_what_is_waited_for_and_fails(world: World, waits_for: str) -> None:
    world.start()
    world.play(until=waits_for)
    Run.objects.update(deadline_at=timezone.now())

    world.advance()

    assert world.task.reload().status == TaskStatus.FAILED
    assert failure_code(world) == "workflow_timeout"
    assert world.worker.status == WorkerStatus.CANCELING


def test_an_old_flow_version_crashes_clearly(world: World) -> None:
    world.start()
    Run.objects.update(flow_version=99)

    world.advance()

    assert failure_code(world) == "flow_version_changed"


def test_a_node_that_keeps_failing_crashes_the_run_after_bounded_tries(world: World) -> None:
    world.start()
    # What no node expects: a manifest that is no mapping.
    Project.objects.update(manifest=["not", "a", "mapping"])
    world.play(until="change")
    world.open_change()

    for _ in range(executor.MAX_TROUBLES + 1):
        world.advance()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert failure_code(world) == "run_stuck"


def test_whoever_does_not_get_the_lock_leaves(world: World) -> None:
    world.start()
    held, done, run_id = threading.Event(), threading.Event(), world.run.pk

    def hold() -> None:
        with advisory_lock("run", run_id):
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)

    world.advance()

    status = world.run.status
    done.set()
    holder.join(20)
    assert status == RunStatus.PENDING


def test_a_row_that_became_final_before_the_park_is_not_missed(world: World) -> None:
    world.start()
    world.play(until="worker")
    world.ready_worker()
    world.advance()
    world.finish_turn()

    # One advance goes through every wait that is over already.
    world.advance()

    assert world.waits_for == "change"


def test_an_unknown_run_is_left_alone() -> None:
    assert executor.advance(run_id=uuid4()) == executor.Advance()


def test_the_agents_words_are_copied_once(world: World) -> None:
    world.start()
    world.play(until="turn")
    for number in range(3):
        WorkerEvent.objects.create(
            worker=world.worker,
            turn_id=world.turn.pk,
            boot="b",
            seq=number,
            kind="progress",
            body={"message": f"step {number}"},
        )

    for _ in range(2):
        world.advance()
    Run.objects.update(progress_id=0)
    world.advance()

    words = TaskEvent.objects.filter(kind="agent_progress").order_by("seq")
    assert [event.data["message"] for event in words] == ["step 0", "step 1", "step 2"]


def test_time_for_the_workers_image_is_told_with_its_readiness(world: World) -> None:
    world.start()
    world.play(until="worker")
    Worker.objects.filter(task_id=world.task.pk).update(image_seconds=14.5)

    world.play(until="turn")

    ready = TaskEvent.objects.get(kind="worker_ready")
    assert ready.data["install_seconds"] == 14.5


def test_word_that_says_nothing_becomes_no_line(world: World) -> None:
    world.start()
    world.play(until="turn")
    for number, body in enumerate(({"type": "started"}, {"message": None, "current_step": "tests"})):
        WorkerEvent.objects.create(
            worker=world.worker, turn_id=world.turn.pk, boot="b", seq=number, kind="progress", body=body
        )

    world.advance()

    words = TaskEvent.objects.filter(kind="agent_progress")
    assert [event.data["step"] for event in words] == ["tests"]
    assert world.run.progress_id == WorkerEvent.objects.latest("pk").pk


# --- deploy ---


def test_a_merged_project_becomes_an_address() -> None:
    world = make_deploy_world()
    world.start()

    world.play()

    assert world.task.reload().status == TaskStatus.SUCCEEDED
    assert world.task.result["url"] == world.deployment.url
    assert world.events() == [
        "acknowledged",
        "port_allocated",
        "installing",
        "starting",
        "smoke_passed",
        "deployed",
        "succeeded",
    ]


def test_two_services_are_released_one_after_the_other() -> None:
    world = make_deploy_world()
    second = {**MANIFEST["services"][0], "name": "frontend"}
    Project.objects.update(manifest={**MANIFEST, "services": [MANIFEST["services"][0], second]})
    world.start()

    world.play()

    assert world.run.status == RunStatus.SUCCEEDED
    assert set(ServiceDeployment.objects.values_list("service_name", flat=True)) == {"backend", "frontend"}


def test_a_missing_secret_is_asked_for_and_its_value_is_kept_nowhere_else() -> None:
    world = make_deploy_world()
    service = {**MANIFEST["services"][0], "secrets": ["API_KEY"]}
    Project.objects.update(manifest={**MANIFEST, "services": [service]})
    world.start()
    world.play(until="question")
    question = Question.objects.get()

    services.answer_question(question_id=question.pk, text="s3cret-value")
    world.play()

    assert world.run.status == RunStatus.SUCCEEDED
    assert question.reload().answer == ""
    assert world.project.secrets.get().key == "API_KEY"
    assert "question_answered" in world.events()


def test_a_question_nobody_answers_ends_the_run() -> None:
    world = make_deploy_world()
    service = {**MANIFEST["services"][0], "secrets": ["API_KEY"]}
    Project.objects.update(manifest={**MANIFEST, "services": [service]})
    world.start()
    world.play(until="question")
    Question.objects.update(deadline_at=timezone.now())

    world.advance()

    assert failure_code(world) == "question_expired"
    assert Question.objects.get().status == QuestionStatus.EXPIRED


def test_no_server_at_all_is_the_operators_move_at_once() -> None:
    world = World(type="deploy", spec="")
    Server.objects.all().delete()
    world.start()

    world.advance()

    assert world.task.reload().status == TaskStatus.CRASHED
    assert failure_code(world) == "no_server"


def test_no_room_is_waited_for_until_the_deadline() -> None:
    world = World(type="deploy", spec="")
    Server.objects.update(status=ServerStatus.MAINTENANCE)
    world.start()
    world.advance()
    assert world.run.waiting_for == "unavailable:no_capacity"
    assert world.run.troubles == 0
    Run.objects.update(deadline_at=timezone.now())

    world.advance()

    assert world.task.reload().status == TaskStatus.FAILED
    assert failure_code(world) == "no_capacity"


def test_room_that_appears_is_used() -> None:
    world = World(type="deploy", spec="")
    Server.objects.update(status=ServerStatus.MAINTENANCE)
    world.start()
    world.advance()
    make_server()
    Run.objects.update(status_changed_at=timezone.now() - timedelta(seconds=10))

    world.play()

    assert world.run.status == RunStatus.SUCCEEDED


def test_a_draft_cannot_be_deployed() -> None:
    world = World(project_status=ProjectStatus.DRAFT, type="deploy", spec="")
    world.start()

    world.advance()

    assert failure_code(world) == "project_not_ready"


def test_an_engineering_task_may_be_followed_by_its_deployment() -> None:
    make_server()
    world = World(deploy_after=True)
    world.start()
    world.play(until="merge")
    world.merge()

    done = executor.advance(run_id=world.run.pk)

    follower = Task.objects.get(follows=world.task)
    assert follower.status == TaskStatus.RUNNING
    assert done.started == follower.runs.get().pk
    executor.advance(run_id=follower.runs.get().pk)
    assert ServiceDeployment.objects.get().commit_sha == world.change.merge_sha


# --- hints and the sweep ---


def test_with_all_hints_dropped_the_sweep_finishes_the_run(world: World) -> None:
    world.start()

    for _ in range(12):
        Run.objects.filter(finished_at=None).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
        for run_id in tasks.find_neglected():
            executor.advance(run_id=run_id)
        if world.run.status in Run.final_statuses():
            break
        world.move()

    assert world.run.status == RunStatus.SUCCEEDED


def test_the_sweep_leaves_a_run_alone_that_was_just_looked_at(world: World) -> None:
    world.start()
    world.play(until="worker")

    assert tasks.find_neglected() == []


def test_the_memory_of_a_final_run_is_deleted_even_if_its_driver_died_before(world: World) -> None:
    world.start()
    world.play()
    Run.objects.update(forgotten_at=None)

    assert tasks.find_neglected() == [world.run.pk]
    world.advance()

    assert tasks.find_neglected() == []
