"""The Celery tasks' wiring: the lock, the next step, and errors that are only a wait."""

import threading

import pytest
from celery.signals import before_task_publish
from django.db import connection

from apps.enqueue import advisory_lock
from apps.infra import tasks
from apps.infra.models import DeploymentStatus, ServiceDeployment
from tests.factories import make_deployment, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def sent(broker):
    """Names and arguments of what is handed to Celery."""
    messages = []

    def note(sender, body, **_):
        messages.append((sender, body[1]))

    before_task_publish.connect(note, weak=False, dispatch_uid="infra-tests")
    yield messages
    before_task_publish.disconnect(dispatch_uid="infra-tests")


def status_of(deployment_id):
    return ServiceDeployment.objects.get(pk=deployment_id).status


def test_request_is_handed_on_after_its_commit(ask, sent):
    deployment_id = ask()

    assert sent == [("infra.reconcile_deployment", {"deployment_id": str(deployment_id)})]


def test_step_that_has_a_next_one_enqueues_it(ask, sent):
    deployment_id = ask()
    sent.clear()

    tasks.reconcile_deployment(deployment_id=str(deployment_id))

    assert status_of(deployment_id) == DeploymentStatus.INSTALLING
    assert sent == [("infra.reconcile_deployment", {"deployment_id": str(deployment_id)})]


def test_bundle_that_is_not_there_ends_the_release_and_not_the_task(ask, sent):
    deployment_id = ask(bundle_name="workspaces/nonsense")

    tasks.reconcile_deployment(deployment_id=str(deployment_id))
    tasks.reconcile_deployment(deployment_id=str(deployment_id))

    assert status_of(deployment_id) == DeploymentStatus.CRASHED


def test_release_whose_server_is_away_is_put_off(sent):
    server = make_server(kind="ssh", status="unreachable")
    release = make_deployment(server=server, target="server", status="stopping", starts=1)

    tasks.reconcile_deployment(deployment_id=str(release.pk))

    assert (release.reload().due_at is None, sent) == (False, [])


def test_release_that_somebody_else_holds_is_left_to_him(ask, sent):
    deployment_id = ask()
    held, done = threading.Event(), threading.Event()

    def hold():
        with advisory_lock("deployment", str(deployment_id)):
            held.set()
            done.wait(10)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)

    tasks.reconcile_deployment(deployment_id=str(deployment_id))

    done.set()
    holder.join()
    assert status_of(deployment_id) == DeploymentStatus.PENDING


def test_sweep_only_enqueues(ask, sent):
    deployment_id = ask()
    sent.clear()

    tasks.sweep_infra()

    assert sent == [
        ("infra.reconcile_deployment", {"deployment_id": str(deployment_id)}),
        ("infra.remove_orphans", {}),
    ]
    assert status_of(deployment_id) == DeploymentStatus.PENDING
