"""The measurement itself works; its bar is judged by `make bench` on a quiet machine."""

import pytest

from apps.graph.models import Run
from bench.graph_steps import as_text, measure
from tests.apps.graph.world import World

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("memory", "broker"),
]


def test_steps_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    worlds: dict[object, World] = {}

    def make_run() -> Run:
        world = World()
        run_id = world.start()
        worlds[run_id] = world
        return world.run

    measured = measure(make_run, lambda run: worlds[run.pk].move(), runs=12)

    with capsys.disabled():
        print(as_text(measured))
    assert measured.steps == 12 * 14
    assert measured.steps_per_second > 10
