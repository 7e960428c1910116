"""What the commands show: everything that concerns a person, nothing that does not."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.bot.models import Trouble
from apps.infra.models import DeploymentStatus
from apps.projects.models import Task, TaskStatus
from apps.workers.models import WorkerStatus
from tests.apps.bot.updates import somebody
from tests.factories import make_deployment, make_project, make_run, make_task, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_status_tells_of_each_project_what_runs_and_what_failed():
    phone, user = somebody()
    shop = make_project(owner=user, status="active", name="Shop")
    blog = make_project(owner=user, status="active", name="Blog")
    make_deployment(project_id=shop.pk, status=DeploymentStatus.LIVE, live_at=timezone.now())
    make_task(project=shop, status=TaskStatus.RUNNING)
    make_task(project=blog, status=TaskStatus.FAILED, failure={"code": "checks_failed"})

    phone.writes("/status")

    told = phone.last()
    assert "http://127.0.0.1:21000" in told
    assert "1 task under way" in told
    assert "checks_failed" in told


def test_lists_ask_the_database_as_often_for_many_as_for_few(django_assert_max_num_queries: Any):
    phone, user = somebody()
    for number in range(15):
        project = make_project(owner=user, status="active", name=f"Project {number}")
        make_task(project=project, status=TaskStatus.RUNNING)
        make_deployment(project_id=project.pk, status=DeploymentStatus.LIVE, live_at=timezone.now())

    with django_assert_max_num_queries(35):
        phone.writes("/status")

    assert phone.last().count("1 task under way") == 15


def test_project_is_shown_by_the_beginning_of_its_name_and_by_a_tap():
    phone, user = somebody()
    make_project(owner=user, name="A shop of books", description="sells <books>")
    make_project(owner=user, name="Blog")

    phone.writes("/project a shop")
    by_name = phone.last()
    phone.writes("/projects")
    phone.taps("Blog")
    phone.taps("Blog")
    phone.writes("/project nothing")

    assert "sells &lt;books&gt;" in by_name
    assert "Blog" in phone.texts()[-2]
    assert "does not exist" in phone.last()


def test_tasks_under_way_are_listed_with_buttons_to_stop_them():
    phone, user = somebody()
    task = make_task(project=make_project(owner=user), status=TaskStatus.RUNNING, spec="add prices")
    make_run(task=task)
    phone.writes("/tasks")

    phone.taps("Stop: add prices")

    assert task.reload().status == TaskStatus.CANCELING


def test_button_that_is_older_than_the_engineering_stops_the_deployment_behind_it():
    phone, user = somebody()
    task = make_task(project=make_project(owner=user), status=TaskStatus.RUNNING, spec="add prices")
    phone.writes("/tasks")
    data = phone.button("Stop: add prices")
    Task.objects.filter(pk=task.pk).update(status=TaskStatus.SUCCEEDED)
    follower = make_task(
        project=task.project, type="deploy", spec="", follows=task, status=TaskStatus.RUNNING
    )
    make_run(task=follower)

    phone.does(phone.tap(data))

    assert follower.reload().status == TaskStatus.CANCELING
    assert task.reload().status == TaskStatus.SUCCEEDED


def test_deployment_in_the_list_is_told_by_its_project():
    phone, user = somebody()
    project = make_project(owner=user, name="Shop")
    make_task(project=project, type="deploy", spec="", status=TaskStatus.RUNNING)

    phone.writes("/tasks")

    assert phone.button("Stop: Deployment · Shop")


def test_servers_tell_how_many_own_projects_run_there():
    phone, user = somebody()
    mine = make_project(owner=user)
    release = make_deployment(project_id=mine.pk, status=DeploymentStatus.LIVE, live_at=timezone.now())
    make_deployment(server=release.server, status=DeploymentStatus.LIVE, live_at=timezone.now())

    phone.writes("/servers")

    assert f"{release.server.name}</b>: Active, running there: 1" in phone.last()


def test_worker_is_stopped_by_an_operator_after_a_question():
    phone, _ = somebody("operator")
    worker = make_worker()
    phone.writes("/workers")
    listed = phone.last()

    phone.writes(f"/kill {str(worker.pk)[:8]}")
    before = worker.reload().status
    phone.taps("Stop")

    assert str(worker.pk)[:8] in listed
    assert (before, worker.reload().status) == (WorkerStatus.RUNNING, WorkerStatus.CANCELING)


def test_worker_is_named_clearly_or_left_alone():
    phone, _ = somebody("operator")
    worker = make_worker()

    phone.writes("/kill")
    phone.writes("/kill no-such-worker")

    listed, refused = phone.texts()[-2:]
    assert str(worker.pk)[:8] in listed
    assert "Name one worker" in refused
    assert worker.reload().status == WorkerStatus.RUNNING


def test_operators_see_what_waits_and_what_is_broken():
    phone, _ = somebody("operator")
    now = timezone.now()
    Trouble.objects.create(key="k", code="update_given_up", message="An <update> failed", last_at=now)
    make_deployment(status=DeploymentStatus.FAILED, failure={"code": "smoke_failed"}, finished_at=now)
    late = now - timedelta(days=2)
    make_deployment(status=DeploymentStatus.FAILED, failure={"code": "long_ago"}, finished_at=late)

    phone.writes("/incidents")
    phone.writes("/queues")

    broken, waiting = phone.texts()[-2:]
    assert "An &lt;update&gt; failed" in broken
    assert "smoke_failed" in broken
    assert "long_ago" not in broken
    assert "Workers that wait for a place: 0" in waiting


def test_owner_invites_and_lists_people():
    phone, user = somebody("owner")

    phone.writes("/invite operator")
    phone.writes("/users")

    invitation, people = phone.texts()[-2:]
    assert "/start " in invitation
    assert "Operator" in invitation
    assert user.username in people
    assert str(phone.id) in people


def test_settings_show_role_and_languages():
    phone, _ = somebody("viewer")

    phone.writes("/settings")
    phone.taps("Русский")
    phone.writes("/settings")

    assert "Viewer" in phone.texts()[0]
    assert "Наблюдатель" in phone.last()
