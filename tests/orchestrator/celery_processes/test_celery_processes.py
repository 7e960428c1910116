"""Messages and real processes: what is taken after a commit, what a kill costs, and who brings it back."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from structlog.contextvars import bound_contextvars

from apps.projects import services
from apps.projects.models import Project, ProjectStatus
from tests.factories import make_project

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

TAKEN = "Task projects.reconcile_project["


def wait_for(happened: Callable[[], Any], *, seconds: float = 40.0) -> Any:
    until = time.monotonic() + seconds
    while not (answer := happened()):
        assert time.monotonic() < until, f"It did not happen within {seconds:.0f} s"
        time.sleep(0.02)
    return answer


def status_of(project: Project) -> str:
    return str(Project.objects.values_list("status", flat=True).get(pk=project.pk))


def attempts_of(project: Project) -> int:
    return int(Project.objects.values_list("scaffold_attempts", flat=True).get(pk=project.pk))


def test_prefork_worker_takes_a_message_after_the_commit_and_moves_the_row(celery_setup, broker):
    project = make_project()
    ready = celery_setup.worker.ready() and celery_setup.ready(control=True)

    with transaction.atomic():
        services.request_scaffold(project_id=project.pk)
        time.sleep(0.5)
        taken_before_the_commit = TAKEN in celery_setup.worker.logs()
    wait_for(lambda: status_of(project) == ProjectStatus.ACTIVE)

    celery_setup.worker.assert_log_exists(TAKEN)
    wait_for(lambda: broker.hlen("unacked") == 0)
    assert (ready, taken_before_the_commit, attempts_of(project)) == (True, False, 1)
    assert project.reload().repository_url


def test_request_id_of_the_sender_is_on_the_lines_of_the_worker(celery_setup):
    project = make_project()
    celery_setup.worker.ready()

    with bound_contextvars(request_id="request-of-a-person"):
        services.request_scaffold(project_id=project.pk)
    wait_for(lambda: status_of(project) == ProjectStatus.ACTIVE)

    celery_setup.worker.assert_log_exists("became active")
    lines = [line for line in celery_setup.worker.logs().splitlines() if "became active" in line]
    assert [json.loads(line)["request_id"] for line in lines] == ["request-of-a-person"]


def test_killed_worker_loses_nothing_the_sweep_brings_it_back(celery_setup, beat, broker):
    project = make_project()
    worker = celery_setup.worker
    worker.ready()
    services.request_scaffold(project_id=project.pk)
    wait_for(lambda: attempts_of(project) == 1)

    worker.kill()
    after_the_kill = (status_of(project), broker.hlen("unacked") > 0, worker.container.status)
    worker.container.restart()
    wait_for(lambda: status_of(project) == ProjectStatus.ACTIVE)

    assert after_the_kill == (ProjectStatus.SCAFFOLDING, True, "exited")
    assert attempts_of(project) >= 2


def test_beat_enqueues_every_sweep(beat, broker):
    sweeps = {"sweep_graph", "sweep_workers", "sweep_infra", "sweep_projects"}

    def sent() -> set[str]:
        return {json.loads(message)["headers"]["task"] for message in broker.lrange("periodic", 0, -1)}

    wait_for(lambda: sent() >= {f"periodic.{sweep}" for sweep in sweeps}, seconds=90)

    assert beat.status == "running"


def test_of_two_beats_one_sends_and_the_other_takes_over(beat, second_beat, broker):
    def senders() -> set[str]:
        return {json.loads(message)["headers"]["origin"] for message in broker.lrange("periodic", 0, -1)}

    wait_for(lambda: len({"This beat leads" in each.logs() for each in (beat, second_beat)}) == 2)
    leader, standby = (beat, second_beat) if "This beat leads" in beat.logs() else (second_beat, beat)
    wait_for(lambda: broker.llen("periodic") >= 8)
    wait_for(lambda: "beat: Starting" in standby.logs())
    of_the_leader = senders()
    leader.kill()
    broker.delete("periodic")
    of_the_standby = wait_for(senders)

    assert (len(of_the_leader), len(of_the_standby)) == (1, 1)
    assert of_the_leader != of_the_standby
    assert "This beat leads" in standby.logs()
