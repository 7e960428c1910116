"""What the sweep of orphans takes, and what it leaves."""

from dataclasses import replace

import pytest

from apps.workers.composition import Hands, container_spec
from apps.workers.models import Worker
from apps.workers.reconciler_orphans import remove_orphans
from apps.workers.runtime.base import RuntimeUnavailable
from tests.apps.workers.conftest import MakeWorker
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_container_without_a_row_is_left_alone_for_as_long_as_it_runs(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    alive, ended = running(), running()
    runtime.finish(ended.container_name, 1)
    Worker.objects.all().delete()

    removed = remove_orphans(hands=hands)

    assert removed == 1
    assert [state.name for state in runtime.list_owned()] == [alive.container_name]


def test_foreign_name_is_left_alone_even_if_it_has_ended(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    runtime.start(replace(container_spec(running()), name="somebody-elses"))
    runtime.finish("somebody-elses", 0)

    removed = remove_orphans(hands=hands)

    assert removed == 0
    assert runtime.inspect("somebody-elses") is not None


def test_what_crashed_calls_left_is_removed(hands: Hands, runtime: FakeRuntime) -> None:
    runtime.leftovers = ["worker-1.abcd", "a volume"]

    removed = remove_orphans(hands=hands)

    assert removed == 2
    assert runtime.leftovers == []


def test_nothing_is_removed_when_the_runtime_does_not_answer(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = running()
    Worker.objects.all().delete()
    runtime.is_down = True

    with pytest.raises(RuntimeUnavailable):
        remove_orphans(hands=hands)

    runtime.is_down = False
    assert runtime.inspect(worker.container_name) is not None
