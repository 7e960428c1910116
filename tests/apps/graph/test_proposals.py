"""Changes that meet a git host's checks or a base that has moved: what the run makes of it."""

from typing import Any

import pytest

from apps.graph import services
from apps.graph.models import Run, RunStatus
from apps.projects.models import ForgeName, MergeRequest, TaskStatus
from apps.workers.models import Turn, Verification, Worker
from tests.apps.graph.test_kills import run_gauntlet
from tests.apps.graph.world import World

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("world")]


@pytest.fixture
def hosted(db: None, memory: None, broker: Any) -> World:
    """A started task of a project on a git host with pull requests."""
    world = World(forge=ForgeName.GITHUB)
    world.start()
    return world


def failure_code(world: World) -> str:
    return str((world.task.reload().failure or {})["code"])


def changes(world: World) -> list[MergeRequest]:
    return list(MergeRequest.objects.filter(task=world.task).order_by("created_at"))


class TestHostChecks:
    def test_evidence_of_our_verification_goes_with_the_proposal(self, hosted: World) -> None:
        hosted.play(until="merge")

        change = hosted.change
        assert change.status == "proposed"
        assert change.evidence == {
            **{"passed": 12, "total": 12, "seconds": 2.5, "install_seconds": 4.0},
            "verification": str(hosted.verification.pk),
        }

    def test_red_checks_go_back_to_the_same_agent_with_their_words(self, hosted: World) -> None:
        hosted.play(until="merge")
        hosted.fail_at_host(excerpt="E   assert 3 == 4")

        hosted.play(until="turn")

        prompt = hosted.turn.prompt
        assert Worker.objects.count() == 1
        assert "host_checks_failed" in prompt
        assert "job: check" in prompt
        assert "step: Run make check" in prompt
        assert prompt.count("E   assert 3 == 4") == 1

    def test_repaired_change_is_merged(self, hosted: World) -> None:
        hosted.play(until="merge")
        hosted.fail_at_host()

        hosted.play()

        first, second = changes(hosted)
        assert hosted.task.reload().status == TaskStatus.SUCCEEDED
        assert (first.status, second.status) == ("refused", "merged")
        assert first.branch == second.branch
        assert first.tidy_at is None

    def test_third_failure_for_one_reason_is_the_last(self, hosted: World, settings: Any) -> None:
        settings.GRAPH_MAX_REWORKS = 9
        hosted = World(forge=ForgeName.GITHUB)
        hosted.start()
        for _ in range(3):
            hosted.play(until="merge")
            hosted.fail_at_host()
        hosted.play()

        assert (hosted.task.reload().status, failure_code(hosted)) == ("failed", "host_checks_failed")
        assert hosted.run.reworks == 2

    def test_other_reasons_count_apart(self, hosted: World, settings: Any) -> None:
        settings.GRAPH_MAX_REWORKS = 9
        hosted = World(forge=ForgeName.GITHUB)
        hosted.start()
        for number in range(4):
            hosted.play(until="merge")
            hosted.fail_at_host(fingerprint=f"f{number % 2}")
        hosted.play()

        assert hosted.task.reload().status == TaskStatus.SUCCEEDED

    def test_what_a_failed_task_left_at_the_host_is_tidied(self, hosted: World) -> None:
        hosted.play(until="merge")
        hosted.refuse_change("pull_request_closed_otherwise")
        MergeRequest.objects.filter(pk=hosted.change.pk).update(
            failure={**(hosted.change.failure or {}), "kind": "user"}
        )

        hosted.play()

        assert hosted.task.reload().status == TaskStatus.FAILED
        assert hosted.change.tidy_at is not None

    def test_cancel_withdraws_the_proposal_and_has_it_tidied(self, hosted: World) -> None:
        hosted.play(until="merge")

        services.cancel_task(task_id=hosted.task.pk)
        hosted.advance()
        hosted.end_canceled()
        hosted.advance()

        assert hosted.task.reload().status == TaskStatus.CANCELED
        assert (hosted.change.status, hosted.change.tidy_at is None) == ("canceled", False)

    def test_new_worker_closes_what_the_old_one_proposed(self, hosted: World) -> None:
        hosted.play(until="merge")
        hosted.fail_at_host()
        hosted.play(until="turn")
        hosted.crash_worker()

        hosted.play()

        first, second = changes(hosted)
        assert first.branch != second.branch
        assert first.tidy_at is not None
        assert hosted.task.reload().status == TaskStatus.SUCCEEDED


class TestRebase:
    def test_moved_base_is_met_by_the_same_commits_verified_again(self, world: World) -> None:
        world.start()
        world.play(until="merge")
        world.move_base()

        world.play()

        origin, rebase = changes(world)
        assert world.task.reload().status == TaskStatus.SUCCEEDED
        assert (rebase.rebase_of_id, rebase.status) == (origin.pk, "merged")
        assert Worker.objects.count() == Turn.objects.count() == 1
        assert Verification.objects.count() == 2
        assert world.events().count("checks_passed") == 2
        assert "rebased" in world.events()

    def test_verification_is_of_the_rebased_commits(self, world: World) -> None:
        world.start()
        world.play(until="merge")
        world.move_base()
        world.play(until="change")
        MergeRequest.objects.filter(pk=world.change.pk).update(base_sha="b" * 40, head_sha="c" * 40)

        world.play(until="verification")

        assert (world.verification.base_sha, world.verification.head_sha) == ("b" * 40, "c" * 40)

    def test_base_that_moved_before_the_inspection_is_met_alike(self, world: World) -> None:
        world.start()
        world.play(until="change")
        world.move_base()

        world.play()

        assert world.task.reload().status == TaskStatus.SUCCEEDED
        assert Verification.objects.count() == 1

    def test_worker_keeps_its_own_base(self, world: World) -> None:
        world.start()
        world.play(until="merge")
        base = world.change.base_sha
        world.move_base()
        world.play(until="change")
        MergeRequest.objects.filter(pk=world.change.pk).update(base_sha="b" * 40, head_sha="c" * 40)
        world.play(until="verification")
        world.fail_checks()
        world.play(until="change")
        again = world.change
        world.move_base()

        world.play()

        origins = [change.rebase_of_id for change in changes(world)]
        assert (again.base_sha, again.rebase_of_id) == (base, None)
        assert origins == [None, changes(world)[0].pk, None, again.pk]
        assert world.task.reload().status == TaskStatus.SUCCEEDED

    def test_conflict_ends_the_task_with_its_own_code(self, world: World) -> None:
        world.start()
        world.play(until="merge")
        world.move_base()
        world.play(until="change")
        world.refuse_change("rebase_conflict")

        world.play()

        assert (world.task.reload().status, failure_code(world)) == ("failed", "rebase_conflict")
        assert Turn.objects.count() == 1

    def test_base_that_never_stands_still_ends_the_task(self, world: World) -> None:
        world.start()
        for _ in range(4):
            world.play(until="merge")
            world.move_base()

        world.play()

        assert (world.run.status, failure_code(world)) == (RunStatus.CRASHED, "base_moved")
        assert len(changes(world)) == 4


class TestProtectedFiles:
    @pytest.mark.parametrize("allowed", [False, True])
    def test_allowed_ones_are_told_and_checked_as_the_change_has_them(
        self, world: World, allowed: bool
    ) -> None:
        world = World(allow_protected=allowed)
        world.start()

        world.play(until="verification")

        assert ("This task may change the files" in str(world.worker.config["instructions"])) is allowed
        assert (world.verification.protected == []) is allowed


@pytest.mark.django_db(transaction=True)
def test_deaths_at_the_statements_of_a_run_with_red_checks_and_a_rebase_repeat_nothing(
    memory: None, broker: Any
) -> None:
    world = World(forge=ForgeName.GITHUB)
    world.start()
    trouble = [world.fail_at_host, world.move_base]
    stride = 3

    while world.run.status not in Run.final_statuses():
        run_gauntlet(world.run.pk, stride=stride)
        if world.run.status != RunStatus.WAITING:
            continue
        if world.waits_for == "merge" and trouble:
            trouble.pop(0)()
        else:
            world.move()

    assert world.task.reload().status == TaskStatus.SUCCEEDED
    assert [change.status for change in changes(world)] == ["refused", "refused", "merged"]
    assert (Worker.objects.count(), Turn.objects.count(), Verification.objects.count()) == (1, 2, 3)
    events = world.events()
    assert (events.count("rework"), events.count("rebased"), events.count("merged")) == (1, 1, 1)
