"""Runs driven over real PostgreSQL, with the lower apps' rows moved by the test."""

import pytest

from apps.graph.models import RunStatus
from apps.projects.models import TaskStatus
from tests.apps.graph.world import World

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_a_sentence_becomes_a_merged_change(world: World) -> None:
    world.start()

    world.play()

    assert (world.run.status, world.run.failure) == (RunStatus.SUCCEEDED, None)
    assert world.task.reload().status == TaskStatus.SUCCEEDED
    assert world.events() == [
        "acknowledged",
        "worker_requested",
        "worker_ready",
        "turn_started",
        "turn_finished",
        "change_accepted",
        "checks_started",
        "checks_passed",
        "merged",
        "succeeded",
    ]
