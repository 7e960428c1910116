"""What tests may rely on in the fake runtime."""

import pytest

from apps.workers.runtime import base
from tests.fakes_runtime import FakeRuntime, ForbiddenCall
from tests.runtime_stages import phase_of, spec

pytestmark = pytest.mark.unit


def test_runtime_that_is_down_answers_nothing() -> None:
    fake = FakeRuntime()
    fake.start(spec())
    fake.is_down = True

    for verb in (lambda: fake.inspect("worker-1"), fake.list_owned, lambda: fake.remove("worker-1")):
        with pytest.raises(base.RuntimeUnavailable):
            verb()

    fake.is_down = False
    assert phase_of(fake, "worker-1") is base.Phase.RUNNING


def test_lost_answer_leaves_the_work_done() -> None:
    fake = FakeRuntime()
    fake.fails_after.add("start")

    with pytest.raises(base.RuntimeUnavailable):
        fake.start(spec())

    assert fake.started == ["worker-1"]


def test_vanished_container_is_absent() -> None:
    fake = FakeRuntime()
    fake.start(spec())

    fake.vanish("worker-1")

    assert fake.inspect("worker-1") is None


def test_missing_image_is_permanent() -> None:
    fake = FakeRuntime()
    fake.images = {"worker:1"}

    with pytest.raises(base.ImageMissing):
        fake.start(spec(image="worker:2"))


def test_one_name_with_two_specs_fails_the_test() -> None:
    fake = FakeRuntime()
    fake.start(spec())

    with pytest.raises(ForbiddenCall):
        fake.start(spec(labels={"other": "spec"}))


def test_container_that_ended_does_not_act() -> None:
    fake = FakeRuntime()
    fake.start(spec())
    fake.finish("worker-1", 0)

    with pytest.raises(ForbiddenCall):
        fake.say("worker-1", "from the grave")
