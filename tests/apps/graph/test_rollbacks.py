"""Going back: to the release before the live one, or to a named one, whichever way a project is deployed."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.graph import rollbacks, services
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.projects.models import Project, Task
from tests.admin_rows import operator, page_of
from tests.apps.graph.test_deploy_workflow import Site, make_ssh
from tests.apps.graph.world import World, make_deploy_world
from tests.factories import make_sha, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]


def release(world: World) -> ServiceDeployment:
    """Play the world's task to its end and let the release before it go."""
    world.play()
    newest = world.deployment
    earlier = ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE).exclude(pk=newest.pk)
    for row in earlier:
        ServiceDeployment.transition(row.pk, to=DeploymentStatus.STOPPING)
        ServiceDeployment.transition(row.pk, to=DeploymentStatus.STOPPED)
    return newest


def again(world: World, *, sha: str) -> World:
    """Another deployment of the same project, of another commit."""
    Project.objects.filter(pk=world.project.pk).update(head_sha=sha)
    world.task = Task.objects.create(project=world.project, type="deploy", requested_by=world.project.owner)
    world.start()
    return world


def live_after_stopping(world: World) -> ServiceDeployment:
    for row in ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE):
        ServiceDeployment.objects.filter(pk=row.pk).update(
            status=DeploymentStatus.STOPPED, live_at=timezone.now() - timedelta(hours=1)
        )
    return release(world)


@pytest.fixture
def world() -> World:
    """A project with two releases of which the second is live."""
    found = make_deploy_world()
    found.start()
    release(found)
    again(found, sha=make_sha())
    live_after_stopping(found)
    return found


def test_the_release_before_is_installed_again_from_its_own_commit(world: World) -> None:
    first, live = ServiceDeployment.objects.order_by("created_at")

    task_id = rollbacks.request_rollback(deployment_id=live.pk, requested_by_id=None)
    world.task = Task.objects.get(pk=task_id)
    live_after_stopping(world)

    repeated = world.deployment
    assert world.task.reload().status == "succeeded"
    assert (repeated.commit_sha, repeated.rollback_of) == (first.commit_sha, first.pk)
    assert repeated.contract == first.contract
    assert world.events()[:2] == ["acknowledged", "rollback"]


def test_an_earlier_release_can_be_named(world: World) -> None:
    first = ServiceDeployment.objects.order_by("created_at")[0]

    task_id = rollbacks.request_rollback(deployment_id=first.pk, requested_by_id=None)

    assert Task.objects.get(pk=task_id).rollback_to == first.pk


def test_a_first_release_has_none_before_it() -> None:
    world = make_deploy_world()
    world.start()
    only = release(world)

    with pytest.raises(rollbacks.NothingToRollBackTo):
        rollbacks.request_rollback(deployment_id=only.pk, requested_by_id=None)


def test_what_never_was_live_is_nothing_to_go_back_to() -> None:
    world = make_deploy_world()
    world.start()
    world.play(until="deployment")

    with pytest.raises(rollbacks.NothingToRollBackTo):
        rollbacks.request_rollback(deployment_id=world.deployment.pk, requested_by_id=None)


def test_the_workflow_is_told_to_go_back_and_to_which_commit() -> None:
    make_ssh()
    site = Site()
    site.play()
    first = site.deployment
    Project.objects.filter(pk=site.project.pk).update(head_sha=make_sha())

    ServiceDeployment.objects.filter(pk=first.pk).update(status=DeploymentStatus.STOPPED)
    site.task = Task.objects.get(pk=rollbacks.request_rollback(deployment_id=first.pk, requested_by_id=None))
    site.play(until="dispatch")

    inputs = site.dispatch.inputs
    assert (inputs["rollback"], inputs["sha"]) == ("true", first.commit_sha)
    assert site.dispatch.is_rollback


def test_a_rollback_that_fails_is_not_sent_to_an_agent() -> None:
    make_ssh()
    site = Site()
    site.play()
    first = site.deployment
    ServiceDeployment.objects.filter(pk=first.pk).update(status=DeploymentStatus.STOPPED)
    site.task = Task.objects.get(pk=rollbacks.request_rollback(deployment_id=first.pk, requested_by_id=None))
    site.play(until="dispatch")

    site.fail(step="Build", excerpt="E  SyntaxError")
    site.advance()

    assert site.task.reload().status == "failed"
    assert not Task.objects.filter(type="engineering").exists()


def test_a_failed_rollback_is_tried_again_as_one(world: World) -> None:
    first, live = ServiceDeployment.objects.order_by("created_at")
    task_id = rollbacks.request_rollback(deployment_id=live.pk, requested_by_id=None)
    Task.objects.filter(pk=task_id).update(status="failed")

    retry_id = services.retry_task(task_id=task_id, requested_by_id=None)

    assert Task.objects.get(pk=retry_id).rollback_to == first.pk


def test_only_the_owner_goes_back(world: World) -> None:
    live = ServiceDeployment.objects.get(status=DeploymentStatus.LIVE)
    owner, stranger = APIClient(), APIClient()
    owner.force_authenticate(world.project.owner)
    stranger.force_authenticate(make_user())
    path = f"/api/service_deployments/{live.pk}/rollback/"

    answers = [client.post(path) for client in (stranger, owner)]

    assert [answer.status_code for answer in answers] == [404, 201]
    assert answers[1].json()["rollback_to"] is not None


def test_an_operator_goes_back_from_the_page_of_a_release(world: World) -> None:
    first, live = ServiceDeployment.objects.order_by("created_at")
    client, person = Client(), operator()
    client.force_login(person)
    page = client.get(page_of(live)).content.decode()
    (action,) = set(re.findall(r'"(/[^"]*rollback[^"]*)"', page))

    asked = client.get(action)
    answer = client.post(action, {"_form_submitted": "True"})

    task = Task.objects.latest("created_at")
    assert (asked.status_code, answer.status_code) == (200, 302)
    assert (task.type, task.rollback_to, task.requested_by) == ("deploy", first.pk, person)
    assert answer["Location"] == page_of(task)
