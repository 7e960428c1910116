"""What the sweep finds: rows nobody looked at, and jobs nobody owns."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.infra import releases, sweep
from apps.infra.models import DeploymentStatus, ServiceDeployment
from tests.factories import make_deployment, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def looked_at(deployment_id, *, seconds_ago):
    moment = timezone.now() - timedelta(seconds=seconds_ago)
    ServiceDeployment.objects.filter(pk=deployment_id).update(observed_at=moment)


def test_release_nobody_has_looked_at_is_due(ask):
    deployment_id = ask()

    assert list(sweep.list_due()) == [deployment_id]


def test_release_that_was_just_looked_at_is_not_due(ask, step):
    deployment_id = ask()

    step(deployment_id)

    assert list(sweep.list_due()) == []


@pytest.mark.parametrize(("seconds_ago", "is_due"), [(5, False), (11, True)])
def test_live_release_is_looked_at_more_rarely(ask, drive, seconds_ago, is_due):
    deployment_id = ask()
    drive(deployment_id)

    looked_at(deployment_id, seconds_ago=seconds_ago)

    assert (list(sweep.list_due()) == [deployment_id]) == is_due


def test_release_whose_server_could_not_be_reached_waits_longer(ask):
    there, here = make_deployment(server=make_server(kind="ssh"), target="server"), ask()

    sweep.put_off(there.pk)
    sweep.put_off(here)
    waiting = list(sweep.list_due())
    ServiceDeployment.objects.filter(pk=there.pk).update(due_at=timezone.now())

    assert waiting == [here]
    assert set(sweep.list_due()) == {here, there.pk}


def test_settled_release_is_due_until_it_is_cleaned_up(ask, drive):
    deployment_id = ask(setup_command="exit 1")
    drive(deployment_id)
    looked_at(deployment_id, seconds_ago=60)
    clean = list(sweep.list_due())

    ServiceDeployment.objects.filter(pk=deployment_id).update(removed_at=None)

    assert clean == []
    assert list(sweep.list_due()) == [deployment_id]


def test_lost_messages_only_delay(ask, step):
    """Nothing is enqueued here at all: the sweep alone brings a release up."""
    deployment_id = ask()

    for _ in range(4):
        looked_at(deployment_id, seconds_ago=60)
        for due in list(sweep.list_due()):
            step(due)

    assert ServiceDeployment.objects.get(pk=deployment_id).status == DeploymentStatus.LIVE


class TestOrphans:
    @pytest.fixture
    def orphan(self, target, ask):
        """A job of a deployment that never existed."""
        row = ServiceDeployment.objects.get(pk=ask("other", service_name="other"))
        job = replace(
            releases.install_job(row), name="install-orphan", command="sleep 60", deployment_id=str(uuid4())
        )
        target.begin(job)
        return job.name

    def test_job_nobody_owns_is_stopped_and_others_are_left(self, ask, drive, target, orphan):
        live = ask()
        drive(live)

        removed = sweep.remove_orphans(target=target)

        assert removed == 1
        assert target.ended == [orphan]
        assert target.running == [f"service-{live}-1"]

    def test_job_of_a_release_that_was_cleaned_up_is_stopped(self, ask, drive, target):
        deployment_id = ask(setup_command="exit 1")
        row = drive(deployment_id)
        target.begin(replace(releases.install_job(row), command="sleep 60"))

        sweep.remove_orphans(target=target)

        assert target.list_jobs() == {}

    def test_job_of_a_release_that_is_being_cleaned_up_is_left_to_it(self, ask, step, target):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)
        step(deployment_id)
        ServiceDeployment.objects.filter(pk=deployment_id).update(status=DeploymentStatus.FAILED)

        removed = sweep.remove_orphans(target=target)

        assert removed == 0

    def test_one_that_resists_does_not_shelter_the_others(self, target, orphan, ask):
        row = ServiceDeployment.objects.get(idempotency_key="other")
        target.begin(
            replace(
                releases.install_job(row),
                name="install-zombie",
                command="sleep 1",
                deployment_id=str(uuid4()),
            )
        )
        target.unkillable = {orphan}

        removed = sweep.remove_orphans(target=target)

        assert removed == 1
        assert target.ended == ["install-zombie"]
