"""The measurement itself works; its bar is judged by `make bench` on a quiet machine."""

import pytest

from apps.graph.models import Run
from tests.apps.graph.world import World
from tests.bench.graph_steps import PAIRS, as_text, become_chain, measure, move_chain

pytestmark = [
    pytest.mark.service,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("memory", "broker"),
]


def start() -> World:
    world = World()
    world.start()
    return world


def test_the_machinery_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    measured = measure(lambda: become_chain(start().run), move_chain, runs=10)

    with capsys.disabled():
        print(f" chain {as_text(measured)}")
    assert measured.steps == 10 * (2 * PAIRS + 1)


def test_whole_runs_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    worlds: dict[object, World] = {}

    def make_run() -> Run:
        world = start()
        worlds[world.run.pk] = world
        return world.run

    measured = measure(make_run, lambda run: worlds[run.pk].move(), runs=10)

    with capsys.disabled():
        print(f" engineering {as_text(measured)}")
    assert measured.steps == 10 * 14
