"""Images and those who wait for them: one build per content, out of band, bounded, explained."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from apps.units.spec import UnitsUnavailable
from apps.workers import composition, images, reconciler, selectors
from apps.workers.composition import Hands
from apps.workers.followups import FollowUps
from apps.workers.image_builder import ImageBuilder
from apps.workers.image_sources import Sources
from apps.workers.image_unit import BuildResult
from apps.workers.images import ImageHands
from apps.workers.models import ImageStatus, Worker, WorkerImage, WorkerStatus
from apps.workers.reconciler_images import ImageNotFound, reconcile_image
from apps.workers.runtime.base import RuntimeUnavailable
from tests.factories import make_worker
from tests.fakes_images import FakeBuilds, FakeImages
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]
SOURCES = Sources(base_image="debian", files={"worker_image/Dockerfile": b"FROM x AS common"})


@pytest.fixture
def store() -> FakeImages:
    return FakeImages()


@pytest.fixture
def builds(store: FakeImages) -> FakeBuilds:
    return FakeBuilds(store)


@pytest.fixture
def image_hands(store: FakeImages, builds: FakeBuilds) -> ImageHands:
    builder = ImageBuilder(store, prefix="p", sources=lambda: SOURCES)
    return ImageHands(builder=builder, builds=builds)


@pytest.fixture
def step(image_hands: ImageHands) -> Callable[[WorkerImage], FollowUps]:
    return lambda row: reconcile_image(image_id=row.pk, hands=image_hands)


@pytest.fixture
def ask(image_hands: ImageHands) -> Callable[..., WorkerImage]:
    """Ask for an agent's image; the base image is there unless the test says otherwise."""

    def make(agent_type: str = "claude", *, has_base: bool = True) -> WorkerImage:
        builder = image_hands.builder
        if has_base:
            image_hands.builder.store.put(builder.base_tag)
        return images.request_image(builder.recipe(agent_type), builder)

    return make


class TestBuilding:
    def test_missing_image_is_built_and_ready(self, ask, step, builds) -> None:
        row = ask()

        step(row), step(row)
        builds.finish(row.tag)
        step(row)

        ready = row.reload()
        assert (ready.status, ready.attempts, ready.image_id) == ("ready", 1, f"sha256:{row.tag}")
        assert ready.build_seconds is not None
        assert builds.phases == {}

    def test_image_that_is_there_is_ready_without_a_build(self, ask, builds, store, image_hands) -> None:
        store.put(image_hands.builder.recipe("claude").tag)

        row = ask()

        assert row.status == ImageStatus.READY
        assert builds.started == []

    def test_base_image_comes_first(self, ask, step, builds, image_hands) -> None:
        row = ask(has_base=False)

        (follow_up,) = step(row)
        base = WorkerImage.objects.get(pk=follow_up.id)
        step(base), step(base)
        builds.finish(base.tag)
        woken = step(base)

        assert base.tag == image_hands.builder.base_tag
        assert [followed.id for followed in woken] == [row.pk]
        assert row.reload().status == ImageStatus.PENDING

    def test_no_more_builds_at_once_than_allowed(self, ask, step, builds) -> None:
        rows = [ask(agent) for agent in ("claude", "codex", "factory")]

        for row in rows:
            step(row), step(row)

        assert [row.reload().status for row in rows] == ["building", "building", "pending"]
        assert len(builds.started) == 2

    def test_step_may_be_repeated_at_any_moment(self, ask, step, builds) -> None:
        row = ask()

        for _ in range(5):
            step(row)

        assert builds.started == [row.tag]

    def test_crash_between_row_and_process_is_made_good(self, ask, step, builds) -> None:
        row = ask()
        step(row)
        builds.is_refusing = True
        with pytest.raises(UnitsUnavailable):
            step(row)

        builds.is_refusing = False
        step(row)

        assert builds.started == [row.tag]

    def test_silent_daemon_changes_nothing(self, ask, step, store) -> None:
        row = ask()
        store.is_down = True

        with pytest.raises(RuntimeUnavailable):
            step(row)

        assert row.reload().status == ImageStatus.PENDING


class TestFailing:
    def failed(self, row, step, builds, said: BuildResult, *, times: int = 2) -> WorkerImage:
        builds.results[row.tag] = said
        for _ in range(times):
            step(row), step(row)
            builds.finish(row.tag)
            step(row)
        return row.reload()

    def test_failing_command_is_named_and_the_log_kept(self, ask, step, builds) -> None:
        said = BuildResult(code="image_build_failed", message="code 1", failed_command="RUN npm install x")

        row = self.failed(ask(), step, builds, said)

        assert row.status == ImageStatus.FAILED
        assert row.failed_command == "RUN npm install x"
        assert row.failure["code"] == "image_build_failed"
        assert "building" in row.log_tail
        assert "secret" not in row.log_tail

    def test_failure_is_tried_a_bounded_number_of_times(self, ask, step, builds) -> None:
        row = self.failed(ask(), step, builds, BuildResult(code="image_build_failed"))

        step(row), step(row)

        assert (row.reload().attempts, len(builds.started)) == (2, 2)

    def test_missing_base_image_is_not_tried_again(self, ask, step, builds) -> None:
        row = self.failed(ask(), step, builds, BuildResult(code="base_image_missing"), times=1)

        assert (row.status, row.attempts) == ("failed", 1)

    def test_lost_build_is_tried_again(self, ask, step, builds) -> None:
        row = ask()
        step(row), step(row)
        builds.lose(row.tag)

        step(row)

        assert (row.reload().status, row.attempts) == ("pending", 1)

    def test_build_that_outlives_its_deadline_is_ended(self, ask, step, builds) -> None:
        row = ask()
        step(row), step(row)
        WorkerImage.objects.filter(pk=row.pk).update(
            deadline_at=timezone.now() - timedelta(minutes=5), attempts=2
        )

        step(row)

        assert row.reload().failure["code"] == "image_build_timeout"
        assert builds.phases == {}

    def test_failed_image_is_asked_for_again_only_after_a_while(self, ask, step, builds) -> None:
        row = self.failed(ask(), step, builds, BuildResult(code="image_build_failed"))

        soon = ask().status
        WorkerImage.objects.filter(pk=row.pk).update(finished_at=timezone.now() - timedelta(minutes=5))
        later = ask()

        assert soon == ImageStatus.FAILED
        assert (later.status, later.attempts) == ("pending", 0)

    def test_failing_base_image_fails_those_built_on_it(self, ask, step, builds, image_hands) -> None:
        row = ask(has_base=False)
        base = WorkerImage.objects.get(pk=step(row)[0].id)
        self.failed(base, step, builds, BuildResult(code="base_image_missing"), times=1)

        step(row)

        assert row.reload().failure["code"] == "base_image_missing"

    def test_changed_recipe_is_not_built_under_the_old_tag(self, ask, step, builds) -> None:
        row = ask()
        WorkerImage.objects.filter(pk=row.pk).update(tag="p:000000000000")

        step(row)

        assert row.reload().failure["code"] == "image_superseded"
        assert builds.started == []


def test_unknown_image_is_said_to_be_unknown(image_hands) -> None:
    with pytest.raises(ImageNotFound):
        reconcile_image(image_id=uuid4(), hands=image_hands)


class TestWorkers:
    @pytest.fixture
    def hands(self, image_hands: ImageHands, operator) -> Hands:
        return Hands(
            runtime=FakeRuntime(),
            channel=operator,
            limits=replace(composition.get_limits(), max_concurrent=20, spawn_seconds=60),
            describe=composition.container_spec,
            images=image_hands,
        )

    def look(self, worker_id: UUID, hands: Hands) -> Worker:
        reconciler.reconcile_worker(worker_id=worker_id, hands=hands)
        return Worker.objects.get(pk=worker_id)

    def pending(self, **fields) -> Worker:
        fields = {"agent_type": "claude", "status": WorkerStatus.PENDING, **fields}
        return make_worker(**fields)

    def test_worker_shows_building_until_its_image_is_there(self, ask, step, builds, hands) -> None:
        row = ask()
        worker = self.look(self.pending().pk, hands)
        assert worker.status == WorkerStatus.BUILDING
        step(row), step(row)
        builds.finish(row.tag)

        woken = step(row)
        worker = self.look(worker.pk, hands)

        assert [(found.kind, found.id) for found in woken] == [("worker", worker.pk)]
        assert worker.status == WorkerStatus.STARTING
        assert hands.runtime.list_owned() == []

    def test_clock_of_the_start_begins_when_the_image_is_there(self, ask, step, builds, hands, store) -> None:
        worker = self.look(self.pending().pk, hands)
        Worker.objects.filter(pk=worker.pk).update(created_at=timezone.now() - timedelta(minutes=10))
        store.put(worker.image.tag)
        images.request_image(hands.images.builder.recipe("claude"), hands.images.builder)

        worker = self.look(worker.pk, hands)
        rest = worker.deadline_at - timezone.now()

        assert timedelta(seconds=40) < rest <= timedelta(seconds=60)

    def test_time_that_an_image_took_is_written_on_the_worker(self, ask, step, builds, hands, store) -> None:
        worker = self.look(self.pending(task_id=uuid4()).pk, hands)
        Worker.objects.filter(pk=worker.pk).update(status_changed_at=timezone.now() - timedelta(seconds=90))
        since = selectors.find_image_wait(task_id=worker.task_id)
        store.put(worker.image.tag)
        images.request_image(hands.images.builder.recipe("claude"), hands.images.builder)

        built = self.look(worker.pk, hands)

        assert since is not None
        assert built.image_seconds == pytest.approx(90, abs=15)
        assert selectors.find_image_wait(task_id=worker.task_id) is None

    def test_cached_image_starts_at_once_and_builds_nothing(self, ask, store, builds, hands) -> None:
        store.put(hands.images.builder.recipe("claude").tag)

        worker = self.look(self.pending().pk, hands)

        assert worker.status == WorkerStatus.STARTING
        assert (store.built, builds.started) == ([], [])

    def test_container_is_made_from_the_image(self, store, hands) -> None:
        store.put(hands.images.builder.recipe("claude").tag)
        worker = self.look(self.pending().pk, hands)

        self.look(worker.pk, hands)

        assert composition.container_spec(worker).image == hands.images.builder.recipe("claude").tag
        assert [state.name for state in hands.runtime.list_owned()] == [worker.container_name]

    def test_twenty_workers_share_one_build(self, ask, step, builds, hands) -> None:
        ask()
        workers = [self.look(self.pending().pk, hands) for _ in range(20)]
        row = WorkerImage.objects.get(agent_type="claude")
        for _ in range(20):
            step(row)
        builds.finish(row.tag)

        woken = step(row)

        assert {worker.status for worker in workers} == {WorkerStatus.BUILDING}
        assert builds.started == [row.tag]
        assert {found.id for found in woken} == {worker.pk for worker in workers}

    def test_failed_image_ends_its_workers_with_command_and_log(self, ask, step, builds, hands) -> None:
        row = ask()
        worker = self.look(self.pending().pk, hands)
        said = BuildResult(code="image_build_failed", message="code 1", failed_command="RUN npm install x")
        TestFailing().failed(row, step, builds, said)

        self.look(worker.pk, hands)
        ended = self.look(worker.pk, hands)

        assert ended.status == WorkerStatus.FAILED
        assert (ended.failure["stage"], ended.failure["code"]) == ("image", "image_build_failed")
        assert "npm install x" in ended.failure["message"]
        assert "building" in ended.failure["details"]["log_tail"]

    def test_worker_of_an_unknown_capability_ends_and_says_so(self, ask, hands) -> None:
        ask()
        worker = self.pending(config={"capabilities": ["teleport"]})

        ended = [self.look(worker.pk, hands) for _ in range(3)][-1]

        assert ended.failure["code"] == "unknown_capability"

    def test_worker_does_not_wait_for_ever(self, ask, hands) -> None:
        ask()
        worker = self.look(self.pending().pk, hands)
        Worker.objects.filter(pk=worker.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))

        ended = [self.look(worker.pk, hands) for _ in range(2)][-1]

        assert ended.failure["code"] == "image_timeout"

    def test_worker_can_be_canceled_while_its_image_is_built(self, ask, hands) -> None:
        ask()
        worker = self.look(self.pending().pk, hands)
        Worker.transition(worker.pk, to=WorkerStatus.CANCELING)

        ended = self.look(worker.pk, hands)

        assert ended.status == WorkerStatus.CANCELED

    def test_use_is_recorded(self, ask, store, hands) -> None:
        row = ask()
        WorkerImage.objects.filter(pk=row.pk).update(last_used_at=timezone.now() - timedelta(days=30))

        self.look(self.pending().pk, hands)

        assert timezone.now() - row.reload().last_used_at < timedelta(minutes=1)
