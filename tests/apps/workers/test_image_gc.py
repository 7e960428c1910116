"""Images that nobody uses go; nothing that is referenced, wanted or a stranger's does (seed: GC/LRU)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.workers import image_gc
from apps.workers.image_builder import ImageBuilder
from apps.workers.image_sources import Sources
from apps.workers.models import ImageStatus, WorkerImage, WorkerStatus
from apps.workers.runtime.base import RuntimeUnavailable
from tests.factories import make_worker
from tests.fakes_images import LABEL, FakeImages

pytestmark = [pytest.mark.service, pytest.mark.django_db]
SOURCES = Sources(base_image="debian", files={"worker_image/Dockerfile": b"FROM x AS common"})
WEEK = timedelta(days=7)


@pytest.fixture
def store() -> FakeImages:
    return FakeImages()


@pytest.fixture
def builder(store: FakeImages) -> ImageBuilder:
    return ImageBuilder(store, prefix="worker-test", sources=lambda: SOURCES)


@pytest.fixture
def put(store: FakeImages):
    """Have an image with its row, last used so long ago."""

    def make(tag: str, *, unused: timedelta, status: str = ImageStatus.READY) -> WorkerImage:
        store.put(tag, age=unused)
        return WorkerImage.objects.create(
            hash=tag.partition(":")[2],
            tag=tag,
            agent_type="claude",
            status=status,
            last_used_at=timezone.now() - unused,
        )

    return make


def test_unused_and_unrecorded_images_go_and_fresh_ones_stay(builder, store, put) -> None:
    put("worker-test:old", unused=timedelta(days=10))
    put("worker-test:fresh", unused=timedelta(hours=1))
    store.put("worker-test:unrecorded", age=timedelta(days=1))

    found = image_gc.collect(builder, max_age=WEEK)

    assert sorted(found.removed) == ["worker-test:old", "worker-test:unrecorded"]
    assert set(store.states) == {"worker-test:fresh"}
    assert not WorkerImage.objects.filter(tag="worker-test:old").exists()


def test_image_of_production_and_of_a_stranger_stays(builder, store, put) -> None:
    put("worker:production", unused=timedelta(days=100))
    store.put("worker-test:foreign", age=timedelta(days=100), labels={LABEL: "somebody"})
    store.put("worker-test-other:x", age=timedelta(days=100))

    image_gc.collect(builder, max_age=WEEK)

    assert set(store.states) == {"worker:production", "worker-test:foreign", "worker-test-other:x"}


@pytest.mark.parametrize(
    "status", [WorkerStatus.BUILDING, WorkerStatus.STARTING, WorkerStatus.PAUSED, WorkerStatus.CANCELING]
)
def test_image_of_an_active_worker_stays(builder, store, put, status) -> None:
    row = put("worker-test:used", unused=timedelta(days=100))
    make_worker(status=status, image=row)

    image_gc.collect(builder, max_age=WEEK)

    assert "worker-test:used" in store.states


def test_image_of_a_worker_that_has_ended_goes(builder, store, put) -> None:
    row = put("worker-test:used", unused=timedelta(days=100))
    worker = make_worker(status=WorkerStatus.SUCCEEDED, image=row)

    image_gc.collect(builder, max_age=WEEK)

    assert store.states == {}
    assert worker.reload().image is None


def test_base_image_of_today_stays_and_that_of_yesterday_goes(builder, store) -> None:
    for tag in (builder.base_tag, builder.common_tag, "worker-test-base:old", "worker-test-common:old"):
        store.put(tag, age=timedelta(days=100))

    image_gc.collect(builder, max_age=WEEK)

    assert set(store.states) == {builder.base_tag, builder.common_tag}


def test_image_that_is_being_built_or_was_just_built_stays(builder, store, put) -> None:
    put("worker-test:building", unused=timedelta(days=100), status=ImageStatus.BUILDING)
    store.put("worker-test:just-built")

    image_gc.collect(builder, max_age=WEEK)

    assert set(store.states) == {"worker-test:building", "worker-test:just-built"}


def test_image_with_a_container_stays(builder, store, put) -> None:
    put("worker-test:used", unused=timedelta(days=100))
    store.used.add("worker-test:used")

    found = image_gc.collect(builder, max_age=WEEK)

    assert found.removed == []
    assert "worker-test:used" in store.states


def test_image_that_is_asked_for_during_the_collection_stays(builder, store, put) -> None:
    row = put("worker-test:old", unused=timedelta(days=100))
    stale = WorkerImage.objects.get(pk=row.pk)
    WorkerImage.objects.filter(pk=row.pk).update(last_used_at=timezone.now())

    is_removed = image_gc._remove(builder, row.tag, stale)

    assert not is_removed
    assert "worker-test:old" in store.states


def test_image_that_lost_its_tag_goes_when_it_is_old(builder, store) -> None:
    old = store.put_nameless("old", age=timedelta(hours=2))
    fresh = store.put_nameless("fresh")

    found = image_gc.collect(builder, max_age=WEEK)

    assert (found.removed, found.kept, found.freed_bytes) == ([old], [fresh], 1_000)
    assert set(store.states) == {fresh}


def test_image_without_a_tag_that_something_stands_on_stays(builder, store, put) -> None:
    worked_in = store.put_nameless("worked-in", age=timedelta(days=100))
    built_on = store.put_nameless("built-on", age=timedelta(days=100))
    store.used.add(built_on)
    row = put("worker-test:used", unused=timedelta())
    WorkerImage.objects.filter(pk=row.pk).update(image_id=worked_in)
    make_worker(status=WorkerStatus.RUNNING, image=row)

    found = image_gc.collect(builder, max_age=WEEK)

    assert found.removed == []
    assert {worked_in, built_on} <= set(store.states)


def test_image_without_a_tag_stays_while_something_is_built(builder, store, put) -> None:
    step = store.put_nameless("step", age=timedelta(days=100))
    put("worker-test:building", unused=timedelta(), status=ImageStatus.BUILDING)

    image_gc.collect(builder, max_age=WEEK)

    assert step in store.states


def test_dry_run_only_tells(builder, store, put) -> None:
    put("worker-test:old", unused=timedelta(days=10))
    nameless = store.put_nameless("old", age=timedelta(days=10))

    found = image_gc.collect(builder, max_age=WEEK, dry_run=True)

    assert found.removed == ["worker-test:old", nameless]
    assert set(store.states) == {"worker-test:old", nameless}


def test_row_of_an_image_that_is_gone_is_forgotten(builder, put, store) -> None:
    put("worker-test:gone", unused=timedelta(days=10))
    store.states.clear()

    image_gc.collect(builder, max_age=WEEK)

    assert not WorkerImage.objects.exists()


def test_silent_daemon_is_not_an_empty_one(builder, put, store) -> None:
    put("worker-test:old", unused=timedelta(days=10))
    store.is_down = True

    with pytest.raises(RuntimeUnavailable):
        image_gc.collect(builder, max_age=WEEK)

    assert WorkerImage.objects.count() == 1
