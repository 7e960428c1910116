"""Real builds: detached, one per image, explained, and cheap the second time."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.enqueue import advisory_lock
from apps.units.layout import PROCESS, read_json
from apps.units.supervisor import Units
from apps.workers import images
from apps.workers.image_builder import ImageBuilder
from apps.workers.image_unit import BuildPhase, UnitBuilds
from apps.workers.images import ImageHands
from apps.workers.models import ImageStatus, WorkerImage
from apps.workers.reconciler_images import reconcile_image
from apps.workers.runtime.images import ImageBuildFailed
from orchestrator.env import ROOT
from tests import worker_images

pytestmark = [pytest.mark.service, pytest.mark.docker, pytest.mark.django_db(transaction=True)]
PATIENCE_SECONDS = 90.0


@pytest.fixture
def prefix() -> Iterator[str]:
    found = f"codegen-test-{secrets.token_hex(4)}"
    yield found
    worker_images.forget(found)


@pytest.fixture
def units(var_dir: Path) -> Iterator[Units]:
    found = Units(var_dir / f"units-{secrets.token_hex(4)}")
    yield found
    for state in found.list_owned():
        found.remove(state.name)


@pytest.fixture
def hands_of(units: Units) -> Callable[[ImageBuilder], ImageHands]:
    def make(builder: ImageBuilder) -> ImageHands:
        builds = UnitBuilds(
            units, installation="test", sources=ROOT, locks=worker_images.locks(), environment={}
        )
        return ImageHands(builder=builder, builds=builds)

    return make


def step(row: WorkerImage, hands: ImageHands) -> WorkerImage:
    """Take one step as the Celery task does."""
    with advisory_lock("image", str(row.pk)) as obtained:
        if obtained:
            reconcile_image(image_id=row.pk, hands=hands)
    return row.reload()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def drive(hands: ImageHands, *rows: WorkerImage) -> None:
    """Take steps for everything until these rows are ready or failed."""

    def is_done() -> bool:
        for row in WorkerImage.objects.filter(status__in=[ImageStatus.PENDING, ImageStatus.BUILDING]):
            step(row, hands)
        return all(row.reload().status in (ImageStatus.READY, ImageStatus.FAILED) for row in rows)

    until(is_done)


def test_image_is_built_by_a_process_of_its_own(prefix: str, hands_of) -> None:
    builder = worker_images.small_builder(prefix)
    hands = hands_of(builder)

    row = images.request_image(builder.recipe("rehearsal", ["git"]), builder)
    drive(hands, row)

    state = builder.store.find(row.tag)
    assert row.status == ImageStatus.READY
    assert state is not None
    assert (row.image_id, row.size_bytes) == (state.id, state.size_bytes)
    assert state.labels["codegen.agent_type"] == "rehearsal"
    assert "Successfully tagged" in row.log_tail


def test_twenty_simultaneous_requests_make_one_build(prefix: str, hands_of, units: Units) -> None:
    builder = worker_images.small_builder(prefix, command="sleep 2")
    hands = hands_of(builder)
    began = threading.Barrier(20)
    found: list[WorkerImage] = []
    seen: set[str] = set()

    def ask() -> None:
        began.wait()
        row = images.request_image(builder.base(), builder)
        for _ in range(3):
            step(row, hands)
            seen.update(state.name for state in units.list_owned())
        found.append(row)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drive(hands, found[0])

    assert len({row.pk for row in found}) == 1
    assert seen == {found[0].unit_name}
    assert (found[0].reload().status, found[0].attempts) == ("ready", 1)


def test_builders_that_do_not_know_of_each_other_build_once(prefix: str) -> None:
    builder = worker_images.small_builder(prefix, command="sleep 1")
    lines: list[str] = []
    threads = [
        threading.Thread(target=worker_images.built, args=(builder, builder.base()), kwargs={"lines": lines})
        for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(line.startswith(f"built {builder.base_tag}") for line in lines) == 1


def test_cache_hit_builds_nothing_and_is_fast(prefix: str) -> None:
    builder = worker_images.small_builder(prefix, command="sleep 1")
    recipe = builder.recipe("rehearsal")
    first = worker_images.built(builder, builder.base(), recipe)
    lines: list[str] = []

    began = time.monotonic()
    second = worker_images.built(builder, recipe, lines=lines)
    seconds = time.monotonic() - began

    assert second.id == first.id
    assert lines == [f"{recipe.tag} is here"]
    assert seconds < 1.0


def test_failing_command_is_in_the_error_and_its_words_in_the_log(prefix: str, hands_of) -> None:
    builder = worker_images.small_builder(prefix, command="echo no such package && exit 7")
    hands = hands_of(builder)
    row = images.request_image(builder.recipe("rehearsal"), builder)

    drive(hands, row)
    base = WorkerImage.objects.get(agent_type="")

    assert (base.status, base.attempts) == ("failed", 2)
    assert "exit 7" in base.failed_command
    assert "no such package" in base.log_tail
    assert row.failure["code"] == "image_build_failed"


def test_killed_build_is_begun_again(prefix: str, hands_of, units: Units) -> None:
    builder = worker_images.small_builder(prefix, command="sleep 1")
    hands = hands_of(builder)
    row = images.request_image(builder.base(), builder)
    step(row, hands)
    step(row, hands)
    process = read_json(str(units.directory / row.unit_name), PROCESS) or {}

    for pid in (process["shim_pid"], process["pid"]):
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: hands.builds.look(row) is BuildPhase.LOST)
    drive(hands, row)

    assert (row.status, row.attempts) == ("ready", 2)


def test_stranger_cannot_be_collected(prefix: str) -> None:
    theirs = worker_images.small_builder(prefix, installation=f"t{secrets.token_hex(5)}")
    ours = ImageBuilder(worker_images.small_builder(prefix).store, prefix=prefix)

    worker_images.built(theirs, theirs.base())

    assert theirs.base_tag in {tag for state in theirs.store.list_owned() for tag in state.tags}
    assert theirs.base_tag not in {tag for state in ours.store.list_owned() for tag in state.tags}


def test_missing_base_image_is_a_typed_error(prefix: str) -> None:
    builder = worker_images.small_builder(prefix)
    object.__setattr__(builder.sources, "base_image", "codegen-test-images:never-was-there")

    with pytest.raises(ImageBuildFailed) as raised:
        worker_images.built(builder, builder.base())

    assert raised.value.error_code == "base_image_missing"
