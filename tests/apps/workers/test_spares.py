"""How many spares there are, and that they fit the developer who is asked for next."""

from typing import Any, cast

import pytest
from django.utils import timezone

from apps.workers import services, spares
from apps.workers.composition import container_spec
from apps.workers.image_builder import ImageBuilder
from apps.workers.image_sources import Sources
from apps.workers.images import ImageHands, recipe_for, request_image
from apps.workers.models import AgentConfig, Worker, WorkerImage, WorkerStatus
from apps.workers.requests import WorkerRequest
from apps.workers.runtime.base import ContainerSpec
from apps.workers.runtime.docker import DockerRuntime
from apps.workers.runtime.docker_convert import Place
from apps.workers.runtime.docker_pool import digest_of
from tests.factories import make_sha, make_user, make_worker
from tests.fakes_images import FakeBuilds, FakeImages

pytestmark = [pytest.mark.service, pytest.mark.django_db]
SOURCES = Sources(base_image="debian", files={"worker_image/Dockerfile": b"FROM x AS common"})
PLACE = Place(installation="t", proxy_url="http://10.0.0.1:7313")


class Pool:
    """Remembers what it was asked to keep."""

    def __init__(self) -> None:
        self.kept: list[tuple[ContainerSpec, int]] = []

    def keep_spares(self, spec: ContainerSpec, *, count: int) -> None:
        self.kept.append((spec, count))


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def images() -> ImageHands:
    """Where every image is, that of the developer included."""
    store = FakeImages()
    builder = ImageBuilder(store, prefix="worker-test", sources=lambda: SOURCES)
    store.put(builder.recipe("rehearsal").tag)
    store.put(builder.recipe("claude").tag)
    return ImageHands(builder=builder, builds=FakeBuilds(store))


def keep(pool: Pool, images: ImageHands, *, wanted: int = 2, places: int = 10) -> int:
    return spares.keep_spares(cast(DockerRuntime, pool), images, wanted=wanted, places=places)


def request_developer(**fields: Any) -> Worker:
    """Ask as everybody does, and give the row its image as the reconciler does."""
    wanted = WorkerRequest(
        worker_type="developer",
        owner_id=make_user().pk,
        workspace_name="workspaces/a/b.bundle",
        workspace_sha256="a" * 64,
        base_branch="main",
        base_sha=make_sha("base"),
        branch="task/1-1",
        **fields,
    )
    return Worker.objects.get(pk=services.request_worker(idempotency_key="key", request=wanted))


@pytest.mark.parametrize("memory_mb", [None, 512])
@pytest.mark.parametrize("agent_type", ["rehearsal", "claude"])
def test_spare_fits_the_developer_who_is_asked_for_next(
    pool: Pool, images: ImageHands, agent_type: str, memory_mb: int | None
) -> None:
    AgentConfig.objects.all().delete()
    AgentConfig.objects.create(name="the choice", agent_type=agent_type, memory_mb=memory_mb, model="m")

    keep(pool, images)
    worker = request_developer(instructions="Be brief.")
    worker.image = request_image(recipe_for(worker, images.builder), images.builder)

    ((spec, _),) = pool.kept
    assert digest_of(spec, PLACE) == digest_of(container_spec(worker), PLACE)
    assert spec.own_init


def test_spare_does_not_fit_who_needs_another_image(pool: Pool, images: ImageHands) -> None:
    keep(pool, images)
    worker = request_developer(capabilities=("github_cli",))
    worker.image = request_image(recipe_for(worker, images.builder), images.builder)

    ((spec, _),) = pool.kept
    assert digest_of(spec, PLACE) != digest_of(container_spec(worker), PLACE)


def test_there_are_no_spares_before_the_image_is_built(pool: Pool, images: ImageHands) -> None:
    cast(FakeImages, images.builder.store).states.clear()

    count = keep(pool, images)

    assert (count, pool.kept) == (0, [])


@pytest.mark.parametrize(
    ("wanted", "places", "expected"), [(2, 10, 2), (2, 4, 1), (2, 3, 0), (2, 2, 0), (0, 10, 0)]
)
def test_spares_take_no_worker_s_place(
    pool: Pool, images: ImageHands, wanted: int, places: int, expected: int
) -> None:
    for status in (WorkerStatus.RUNNING, WorkerStatus.STARTING, WorkerStatus.PAUSED):
        make_worker(status=status)
    make_worker(status=WorkerStatus.PENDING)
    make_worker(status=WorkerStatus.CANCELING, removed_at=timezone.now())
    make_worker(status=WorkerStatus.SUCCEEDED)

    count = keep(pool, images, wanted=wanted, places=places)

    assert count == expected
    assert [kept for _, kept in pool.kept] == [expected], "those too many must go"


def test_spares_are_no_rows(pool: Pool, images: ImageHands) -> None:
    keep(pool, images)

    assert Worker.objects.count() == WorkerImage.objects.count() == 0
