"""Facts from the lower apps wake exactly the runs that wait for them."""

from typing import Any
from uuid import uuid4

import pytest
from celery.signals import before_task_publish
from django.dispatch import Signal

from apps.graph import receivers, tasks
from apps.graph.models import Run, RunStatus
from apps.graph.waits import OVER
from tests.apps.graph.world import World
from tests.factories import make_run

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]


@pytest.fixture
def woken(django_capture_on_commit_callbacks: Any) -> Any:
    def send(signal: Signal, **ids: Any) -> set[str]:
        found: set[str] = set()

        def note(sender: str, body: Any, **_: Any) -> None:
            found.add(body[1]["run_id"])

        before_task_publish.connect(note, weak=False, dispatch_uid="graph-woken")
        with django_capture_on_commit_callbacks(execute=True):
            answers = signal.send_robust(sender=None, **ids)
        before_task_publish.disconnect(dispatch_uid="graph-woken")
        assert not [answer for _, answer in answers if isinstance(answer, Exception)]
        return found

    return send


@pytest.mark.parametrize(
    ("signal", "name", "kind"),
    [(signal, name, kind) for signal, name, kinds in receivers.HINTS for kind in kinds],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hint_wakes_the_run_that_waits_for_its_row_and_no_other(
    woken: Any, signal: Signal, name: str, kind: str
) -> None:
    row_id = uuid4()
    run = make_run(status=RunStatus.WAITING, waiting_for=f"{kind}:{row_id}")
    make_run(status=RunStatus.WAITING, waiting_for=f"{kind}:{uuid4()}")
    make_run(status=RunStatus.SUCCEEDED, waiting_for=f"{kind}:{row_id}")

    assert woken(signal, **{name: row_id}) == {str(run.pk)}


def test_every_kind_of_waiting_has_a_hint() -> None:
    hinted = {kind for _, _, kinds in receivers.HINTS for kind in kinds}

    assert hinted == set(OVER)


def test_a_hint_that_nobody_waits_for_is_dropped(woken: Any) -> None:
    signal, name, _ = receivers.HINTS[0]

    assert woken(signal, **{name: uuid4()}) == set()


def test_the_task_advances_the_run_and_hands_on_what_it_started(world: World) -> None:
    world.start()

    tasks.advance_run(run_id=str(world.run.pk))

    assert world.waits_for == "worker"


def test_the_sweep_hands_on_every_neglected_run(django_capture_on_commit_callbacks: Any) -> None:
    runs = [make_run(), make_run(status=RunStatus.CANCELING)]
    found: list[str] = []

    def note(sender: str, body: Any, **_: Any) -> None:
        found.append(body[1]["run_id"])

    before_task_publish.connect(note, weak=False, dispatch_uid="graph-swept")
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep_graph()
    before_task_publish.disconnect(dispatch_uid="graph-swept")

    assert sorted(found) == sorted(str(run.pk) for run in runs)
    assert Run.objects.count() == 2
