"""Releases by a workflow: a server, standing ports, a fence while one is coming, an answer from outside."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.failures import Failure, FailureKind
from apps.infra import allocation, reconciler, rollouts, services, sweep
from apps.infra.answering import Smoke
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServerKind, ServiceDeployment
from apps.infra.requests import ReleaseFacts, RolloutRequest
from tests.factories import make_server, make_sha
from tests.fakes_target import FakeTarget

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PROJECT = uuid4()
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"


def make_ssh(**fields: Any) -> Server:
    login = {"ssh_user": "deploy", "host_key": "ssh-ed25519 AAAA", "identity": KEY}
    return make_server(**{"kind": ServerKind.SSH, **login, **fields})


def ask(key: str = "run-1", **changes: Any) -> UUID:
    fields: dict[str, Any] = {
        "owner_id": 1,
        "project_id": PROJECT,
        "project_slug": "books",
        "task_id": uuid4(),
        "commit_sha": make_sha(),
        "kind": "web",
        "health_path": "/health",
        "roles": ("web", "admin"),
        **changes,
    }
    return rollouts.request_rollout(idempotency_key=key, request=RolloutRequest(**fields))


def row(deployment_id: UUID) -> ServiceDeployment:
    return ServiceDeployment.objects.get(pk=deployment_id)


def step(deployment_id: UUID) -> bool:
    smoke = Smoke(ask_seconds=0.2, stable_seconds=0.1)
    return reconciler.reconcile_deployment(deployment_id=deployment_id, target=FakeTarget(), smoke=smoke)


def succeed(deployment_id: UUID, url: str) -> None:
    rollouts.report_success(
        deployment_id=deployment_id, url=url, images={"backend": "sha256:ab"}, evidence={"run": "x"}
    )


@pytest.fixture
def website() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


class TestPlace:
    def test_asked_twice_is_asked_once(self) -> None:
        make_ssh()

        assert ask() == ask()

    def test_only_a_server_reached_by_ssh_is_taken(self) -> None:
        make_server()

        with pytest.raises(allocation.NoServer):
            ask()

    def test_a_process_never_goes_to_a_server_of_others(self) -> None:
        make_ssh(name="a server of others")

        found = allocation.choose_server()

        assert found.kind == ServerKind.LOCAL

    def test_a_server_without_a_way_in_is_named(self) -> None:
        server = make_ssh(host_key="")

        with pytest.raises(allocation.ServerIncomplete) as refused:
            ask()

        assert refused.value.details == {"server": server.name}

    def test_what_fits_no_server_ever_is_told_apart_from_a_full_one(self) -> None:
        make_ssh(port_range_start=21_000, port_range_end=21_001)

        with pytest.raises(allocation.NeverFits):
            ask(roles=("a", "b", "c"))
        ask("run-1", project_id=uuid4())
        with pytest.raises(allocation.NoCapacity):
            ask("run-2")

    def test_ports_stay_the_projects_from_release_to_release(self) -> None:
        make_ssh()
        first = ask("run-1")
        ports = rollouts.get_access(deployment_id=first).ports
        rollouts.report_failure(deployment_id=first, failure=failure())

        second = ask("run-2")

        assert rollouts.get_access(deployment_id=second).ports == ports
        assert PortAllocation.objects.count() == 2

    def test_a_project_stays_on_its_server_and_waits_for_it(self, website: int) -> None:
        server = make_ssh(port_range_start=website, port_range_end=website + 1)
        live(website)
        make_ssh(name="another")
        Server.transition(server.pk, to="maintenance")

        with pytest.raises(allocation.ServerAway):
            ask("run-2")

    def test_no_second_release_begins_while_a_workflow_may_be_at_work(self) -> None:
        make_ssh()
        first = ask("run-1")
        services.cancel_deployment(deployment_id=first)

        with pytest.raises(services.DeploymentUnderWay):
            ask("run-2")

        rollouts.report_end(deployment_id=first)
        assert ask("run-2") != first

    def test_the_private_key_is_in_no_representation(self) -> None:
        make_ssh()

        access = rollouts.get_access(deployment_id=ask())

        assert access.secrets["DEPLOY_SSH_KEY"] == KEY
        assert KEY not in repr(access)


def failure(kind: FailureKind = FailureKind.PRODUCT) -> Failure:
    return Failure(
        stage="deploy", kind=kind, code="workflow_failed", message="No.", details={"log_tail": "x"}
    )


def live(port: int, key: str = "run-1") -> UUID:
    deployment_id = ask(key, roles=("web",))
    succeed(deployment_id, f"http://127.0.0.1:{port}")
    assert not step(deployment_id)
    return deployment_id


class TestReports:
    def test_a_release_is_live_when_it_answers_from_outside(self, website: int) -> None:
        make_ssh(port_range_start=website, port_range_end=website)

        found = row(live(website))

        assert (found.status, found.url) == ("live", f"http://127.0.0.1:{website}/")
        assert (found.evidence or {})["smoke"]["status"] == 200
        assert found.images == {"backend": "sha256:ab"}

    def test_the_one_before_is_replaced_without_touching_the_server(self, website: int) -> None:
        make_ssh(port_range_start=website, port_range_end=website)
        first = live(website)

        second = live(website, "run-2")

        step(first)
        assert (row(first).status, row(second).status) == ("stopped", "live")
        assert row(first).removed_at is not None

    def test_nobody_listening_is_not_the_projects_failure(self) -> None:
        make_ssh(port_range_start=1_024, port_range_end=1_024)
        deployment_id = ask(roles=("web",))
        succeed(deployment_id, "http://127.0.0.1:1024/")
        assert step(deployment_id)
        ServiceDeployment.objects.filter(pk=deployment_id).update(deadline_at="2026-01-01T00:00:00Z")

        assert not step(deployment_id)

        record = row(deployment_id).failure or {}
        assert (record["code"], record["kind"]) == ("unreachable_from_outside", "platform")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "ftp://127.0.0.1:21000/",
            "http://169.254.169.254/latest",
            "http://127.0.0.1:5432/",
            "http://me@127.0.0.1:21000/",
            "http://[",
            "http://no-such-host.invalid/",
        ],
    )
    def test_an_address_that_is_not_the_servers_is_never_asked(self, url: str) -> None:
        make_ssh()
        deployment_id = ask()
        succeed(deployment_id, url)

        step(deployment_id)

        assert (row(deployment_id).failure or {})["code"] == "url_unusable"

    def test_a_bot_without_an_address_is_live_by_its_workflows_word(self) -> None:
        make_ssh()
        deployment_id = ask(kind="worker", roles=(), health_path="")
        succeed(deployment_id, "")

        step(deployment_id)

        assert row(deployment_id).status == DeploymentStatus.LIVE

    def test_a_workflow_that_ended_well_after_all_is_what_there_is(self, website: int) -> None:
        make_ssh(port_range_start=website, port_range_end=website)
        deployment_id = ask(roles=("web",))
        services.cancel_deployment(deployment_id=deployment_id)

        succeed(deployment_id, f"http://127.0.0.1:{website}/")
        step(deployment_id)

        assert row(deployment_id).status == DeploymentStatus.LIVE

    @pytest.mark.parametrize(
        ("kind", "status"), [(FailureKind.PRODUCT, "failed"), (FailureKind.PLATFORM, "crashed")]
    )
    def test_a_failure_is_recorded_once(self, kind: FailureKind, status: str) -> None:
        make_ssh()
        deployment_id = ask()
        rollouts.report_begun(deployment_id=deployment_id)

        for _ in range(2):
            rollouts.report_failure(deployment_id=deployment_id, failure=failure(kind))

        found = row(deployment_id)
        assert (found.status, found.log_tail) == (status, "x")

    def test_a_failure_of_a_canceled_one_ends_it(self) -> None:
        make_ssh()
        deployment_id = ask()
        services.cancel_deployment(deployment_id=deployment_id)

        rollouts.report_failure(deployment_id=deployment_id, failure=failure())

        assert row(deployment_id).status == DeploymentStatus.CANCELED

    def test_the_sweep_leaves_a_workflow_to_who_follows_it(self, website: int) -> None:
        make_ssh(port_range_start=website, port_range_end=website)
        deployment_id = ask(roles=("web",))

        before = list(sweep.list_due())
        succeed(deployment_id, f"http://127.0.0.1:{website}/")

        assert (before, list(sweep.list_due())) == ([], [deployment_id])

    def test_stopping_it_is_refused_in_words(self, website: int) -> None:
        make_ssh(port_range_start=website, port_range_end=website)
        deployment_id = live(website)

        with pytest.raises(services.StopUnsupported):
            services.stop_deployment(deployment_id=deployment_id)

    def test_what_it_was_made_of_is_kept(self) -> None:
        make_ssh()
        facts = ReleaseFacts(environment_digest="e" * 64, contract_version="c" * 64, contract={"version": 1})

        found = row(ask(facts=facts))

        assert (found.environment_digest, found.contract_version) == ("e" * 64, "c" * 64)
        assert found.contract == {"version": 1}
