"""Requests: one row for one key, one port for one release, one coming release per service."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from apps.errors import Invalid, NotFound
from apps.infra import selectors, services
from apps.infra.allocation import NoCapacity, NoServer, choose_server
from apps.infra.apps import give_every_database_its_server
from apps.infra.models import (
    DeploymentStatus,
    PortAllocation,
    Server,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
)
from apps.lifecycle import IllegalTransition
from tests.factories import make_deployment, make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Call functions at the same instant; returns what each answered or raised."""
    barrier, answers = threading.Barrier(len(functions)), []

    def call(function: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            answers.append(function())
        except Exception as error:
            answers.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_request_writes_a_row_with_a_port(ask, server):
    deployment_id = ask()

    row = ServiceDeployment.objects.get(pk=deployment_id)
    assert (row.status, row.server_id) == (DeploymentStatus.PENDING, server.pk)
    assert row.allocation.port == server.port_range_start + 1
    kept = PortAllocation.objects.get(deployment=None)
    assert (kept.port, kept.project_id) == (server.port_range_start, row.project_id)
    assert row.deadline_at is not None


def test_request_is_carried_on_after_the_commit(ask, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        ask()
        ask()

    assert len(callbacks) == 1


def test_secrets_are_not_stored_as_they_are(ask):
    deployment_id = ask(environment={"API_KEY": "open-sesame"})

    with connection.cursor() as cursor:
        cursor.execute("SELECT environment FROM infra_servicedeployment WHERE id = %s", [deployment_id])
        stored = cursor.fetchone()[0]
    assert "sesame" not in stored


def test_second_request_with_the_same_key_is_the_first(ask):
    first = ask("key")

    assert ask("key") == first
    assert PortAllocation.objects.count() == 2


def test_second_release_of_a_service_has_to_wait(ask):
    ask("one")

    with pytest.raises(services.DeploymentUnderWay):
        ask("two")

    assert ServiceDeployment.objects.count() == 1


def test_health_path_must_be_a_path(ask):
    with pytest.raises(Invalid):
        ask(health_path="http://elsewhere.example/")


def test_ports_of_two_services_differ(ask):
    ask("one")
    ask("two", service_name="frontend")

    ports = PortAllocation.objects.values_list("port", flat=True)

    assert len(set(ports)) == 4


def test_full_server_has_no_capacity_and_leaves_no_row(ask, server):
    Server.objects.filter(pk=server.pk).update(port_range_end=server.port_range_start + 2)
    ask("one")

    with pytest.raises(NoCapacity):
        ask("two", service_name="frontend")

    assert ServiceDeployment.objects.count() == 1


def test_full_server_is_passed_by(ask, server):
    Server.objects.filter(pk=server.pk).update(port_range_end=server.port_range_start + 1)
    second = make_server()
    ask("one")

    deployment_id = ask("two", service_name="frontend")

    assert ServiceDeployment.objects.get(pk=deployment_id).server_id == second.pk


@pytest.mark.parametrize("status", [s for s in ServerStatus if s != ServerStatus.ACTIVE])
def test_server_that_is_not_active_gets_nothing(ask, server, status):
    Server.objects.filter(pk=server.pk).update(status=status)

    with pytest.raises(NoCapacity):
        ask()


def test_database_refuses_a_port_twice(ask, server):
    port = PortAllocation.objects.get(deployment_id=ask()).port
    other = make_deployment(owner_id=1, server=server)

    with pytest.raises(IntegrityError, match="port_once_per_server"), transaction.atomic():
        PortAllocation.objects.create(
            server=server, port=port, project_id=uuid4(), service_name="x", deployment=other
        )


def test_database_refuses_two_live_releases_of_a_service(server):
    live = make_deployment(owner_id=1, server=server, status="live")

    with pytest.raises(IntegrityError, match="deployment_one_live_per_service"), transaction.atomic():
        make_deployment(owner_id=1, server=server, status="live", project_id=live.project_id)


def test_only_a_live_release_is_stopped(ask):
    deployment_id = ask()

    with pytest.raises(IllegalTransition):
        services.stop_deployment(deployment_id=deployment_id)


@pytest.mark.parametrize("verb", [services.stop_deployment, services.cancel_deployment])
def test_unknown_release_is_not_found(verb):
    with pytest.raises(NotFound):
        verb(deployment_id=uuid4())


def test_operators_edits_of_the_local_server_are_kept():
    server = services.ensure_local_server()
    Server.objects.filter(pk=server.pk).update(port_range_end=server.port_range_start + 1)

    services.ensure_local_server()

    assert server.reload().port_range_end == server.port_range_start + 1


def test_an_installation_may_do_without_the_local_server(settings):
    Server.objects.all().delete()
    settings.INFRA_LOCAL_TARGET = False

    give_every_database_its_server()

    assert not Server.objects.exists()


def test_where_no_server_is_and_none_will_come_nobody_waits_for_one():
    Server.objects.all().delete()

    with pytest.raises(NoServer):
        choose_server()


def test_a_row_of_the_time_when_this_machine_ran_projects_is_no_server(settings):
    settings.INFRA_LOCAL_TARGET = False
    assert Server.objects.filter(kind=ServerKind.LOCAL).exists()

    with pytest.raises(NoServer):
        choose_server()


class TestOutcome:
    def test_coming_release_is_not_final(self, ask):
        outcome = selectors.get_deployment_outcome(deployment_id=ask())

        assert (outcome.is_final, outcome.is_live, outcome.url) == (False, False, "")
        assert outcome.port is not None

    def test_live_release_is_final_for_whoever_waits(self, ask, drive):
        row = drive(ask())

        outcome = selectors.get_deployment_outcome(deployment_id=row.pk)

        assert (outcome.is_final, outcome.is_live, outcome.url) == (True, True, row.url)

    def test_release_that_was_replaced_was_live_all_the_same(self, ask, drive):
        old = ask("old")
        drive(old)
        drive(ask("new"))
        drive(old)

        outcome = selectors.get_deployment_outcome(deployment_id=old)

        assert (outcome.is_final, outcome.is_live) == (True, True)

    def test_failure_is_typed(self, ask, drive):
        row = drive(ask(setup_command="exit 1"))

        outcome = selectors.get_deployment_outcome(deployment_id=row.pk)

        assert (outcome.is_final, outcome.is_live, outcome.failure.code) == (True, False, "setup_failed")

    def test_unknown_release_is_not_found(self):
        with pytest.raises(NotFound):
            selectors.get_deployment_outcome(deployment_id=uuid4())


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Two real connections."""

    def test_releases_asked_for_at_one_instant_get_different_ports(self, ask, broker):
        answers = together(*[lambda n=n: ask(f"key-{n}", service_name=f"service-{n}") for n in range(6)])

        assert not [answer for answer in answers if isinstance(answer, Exception)]
        assert len(set(PortAllocation.objects.values_list("port", flat=True))) == 12

    def test_one_key_asked_for_twice_at_one_instant_is_one_release(self, ask, broker):
        answers = together(lambda: ask("key"), lambda: ask("key"), lambda: ask("key"))

        assert len(set(answers)) == 1
        assert ServiceDeployment.objects.count() == 1

    def test_one_key_and_one_port_left_is_one_release_for_both(self, ask, broker, server):
        Server.objects.filter(pk=server.pk).update(port_range_end=server.port_range_start + 1)

        answers = together(lambda: ask("key"), lambda: ask("key"))

        assert len(set(answers)) == 1

    def test_of_two_releases_of_one_service_one_has_to_wait(self, ask, broker):
        answers = together(lambda: ask("one"), lambda: ask("two"))

        assert [type(answer) for answer in answers].count(services.DeploymentUnderWay) == 1
        assert ServiceDeployment.objects.count() == 1

    def test_twins_that_found_different_servers_are_told_from_each_other(self, ask, broker, server):
        def hidden(key):
            # As another process that saw only the second server: it holds no lock that we wait for.
            with transaction.atomic():
                second = make_server()
                make_deployment(
                    owner_id=1,
                    server=second,
                    idempotency_key=key,
                    project_id=ServiceDeployment.objects.get(idempotency_key="first").project_id,
                    service_name="frontend",
                )

        ask("first")
        hidden("second")

        assert ask("second", service_name="frontend") == (
            ServiceDeployment.objects.get(idempotency_key="second").pk
        )
