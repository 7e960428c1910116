"""The one address of a project: it stays from release to release, and nobody else ever gets it meanwhile."""

import socket
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from django.apps import apps as registry
from django.utils import timezone

from apps.infra import entrances, services
from apps.infra.models import PortAllocation, ServiceDeployment
from apps.infra.targets.base import TargetUnavailable
from apps.infra.targets.entrance import LocalEntrance

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def row_of(deployment_id: UUID) -> ServiceDeployment:
    return ServiceDeployment.objects.get(pk=deployment_id)


def kept_port() -> int:
    return PortAllocation.objects.get(deployment=None).port


def said(url: str) -> str:
    return httpx.get(url, trust_env=False).text


def make_late(deployment_id: UUID) -> None:
    past = timezone.now() - timedelta(seconds=1)
    ServiceDeployment.objects.filter(pk=deployment_id).update(deadline_at=past)


class TestAddress:
    def test_the_next_release_takes_the_address_over_once_it_has_answered(self, ask, drive, target):
        target.body = b"old"
        old = drive(ask("old"))
        before = said(old.url)
        target.body = b"new"

        new = drive(ask("new"))

        assert old.url == new.url == f"http://127.0.0.1:{kept_port()}/"
        assert (before, said(new.url)) == ("old", "new")

    def test_a_release_that_is_not_well_never_has_the_address(self, ask, drive, step, entrance, target):
        target.body = b"old"
        url = drive(ask("old")).url
        bad = ask("bad", run_command="serve 503")
        for _ in range(3):
            step(bad)
        entrance.look()

        assert row_of(bad).status == "starting"
        assert said(url) == "old"

    def test_services_of_a_project_and_other_projects_have_ports_of_their_own(self, ask, drive):
        rows = [
            drive(ask("one")),
            drive(ask("two", service_name="frontend")),
            drive(ask("three", project_id=uuid4())),
        ]

        assert len({row.url for row in rows}) == 3

    def test_what_does_not_listen_has_none(self, ask):
        ask(kind="worker", health_path="")

        assert not PortAllocation.objects.exists()

    def test_a_release_of_before_gets_one_on_its_way(self, ask, drive):
        deployment_id = ask()
        PortAllocation.objects.filter(deployment=None).delete()

        assert drive(deployment_id).url == f"http://127.0.0.1:{kept_port()}/"


class TestGate:
    """An address that nobody has seen is no success."""

    def test_without_an_entrance_a_release_waits_and_the_old_one_stays(self, ask, drive, step, entrance):
        old = drive(ask("old"))
        entrance.is_down = True
        new = ask("new")
        step(new)
        step(new)
        with pytest.raises(TargetUnavailable):
            step(new)
        make_late(new)

        step(new)

        assert (row_of(new).status, row_of(new).failure["code"]) == ("crashed", "target_unavailable")
        assert row_of(old.pk).status == "live"

    def test_an_entrance_that_does_not_follow_is_no_success(self, ask, drive, step, entrance, target):
        target.body = b"old"
        old = drive(ask("old"))
        entrance.is_stuck, target.body = True, b"new"
        new = ask("new")
        for _ in range(3):
            step(new)
        assert row_of(new).status == "starting"
        make_late(new)

        step(new)
        entrance.look()

        assert (row_of(new).status, row_of(new).failure["code"]) == ("crashed", "entrance_failed")
        assert said(old.url) == "old"

    def test_a_stranger_at_a_port_that_nobody_knows_yet_is_passed_by(self, ask, drive):
        deployment_id = ask()
        taken = kept_port()
        with socket.create_server(("127.0.0.1", taken)):
            row = drive(deployment_id)

        assert row.status == "live"
        assert kept_port() != taken

    def test_an_address_that_people_know_is_not_given_up_for_a_stranger(self, ask, drive, step, entrance):
        old = drive(ask("old"))
        entrance.forget()
        with socket.create_server(("127.0.0.1", kept_port())):
            new = ask("new")
            for _ in range(3):
                step(new)
            make_late(new)
            step(new)

        assert row_of(new).failure["code"] == "entrance_failed"
        assert "Address already in use" in row_of(new).failure["message"]
        assert old.url == f"http://127.0.0.1:{kept_port()}/"


class TestEnd:
    def test_a_port_is_not_given_back_while_anything_of_the_project_may_run(self, ask, drive):
        row = drive(ask())
        assert list(entrances.list_projects()) == []
        assert entrances.close(project_id=row.project_id) == 0
        services.stop_deployment(deployment_id=row.pk)
        assert entrances.close(project_id=row.project_id) == 0

        drive(row.pk)

        assert list(entrances.list_projects()) == [row.project_id]
        assert entrances.close(project_id=row.project_id) == 1
        assert not PortAllocation.objects.exists()

    def test_nobody_else_is_given_it_before(self, ask, drive):
        row = drive(ask())
        services.stop_deployment(deployment_id=row.pk)
        drive(row.pk)

        other = drive(ask("other", project_id=uuid4()))

        assert other.url != row.url


def test_an_upgrade_keeps_the_addresses_that_people_know(ask, drive, target, entrance):
    row = drive(ask())
    entrance.forget()
    # As it was before projects had ports of their own.
    PortAllocation.objects.filter(deployment=None).delete()
    known = PortAllocation.objects.get(deployment=row).port
    ServiceDeployment.objects.filter(pk=row.pk).update(url=f"http://127.0.0.1:{known}/")

    import_module("apps.infra.migrations.0007_projects_keep_their_ports").keep_the_ports_that_people_know(
        registry, None
    )

    assert kept_port() == known
    assert drive(row.pk).starts == 2
    assert target.running == [f"service-{row.pk}-2"]
    assert drive(ask("next")).url == f"http://127.0.0.1:{known}/"


def test_an_entrance_that_is_not_there_is_no_answer(tmp_path: Path):
    with pytest.raises(TargetUnavailable):
        LocalEntrance(tmp_path / "nobody.sock")(21_000)

