"""Releases on a server over SSH: built, made live, asked from outside, undone; none stuck, none twice."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from apps.infra import composition, reconciler, rollouts, server_releases, services, sweep
from apps.infra.answering import Smoke
from apps.infra.models import (
    DeploymentStatus,
    Incident,
    PortAllocation,
    Server,
    ServerKind,
    ServerStatus,
    ServiceDeployment,
)
from apps.infra.requests import ByUs, ReleaseFacts, RolloutRequest
from apps.infra.services import DeploymentUnderWay
from apps.infra.targets.base import Job, JobPhase, JobState, TargetUnavailable
from tests.factories import make_server, make_sha
from tests.fakes_target import FakeTarget, Killed, _FakeJob

pytestmark = [pytest.mark.service, pytest.mark.django_db]

PROJECT = uuid4()
SECRET = "sesame-open"
CONTRACT = {
    "services": [{"name": "backend", "port": "web", "health": "/health"}],
    "environment": [{"key": "WEB_PORT", "source": "allocation", "role": "web"}],
}
IMAGES = 'live: x\n{"backend": "sha256:ab"}\n'


class FarTarget(FakeTarget):
    """A server whose jobs run until the test ends them; one that only tidies up has done so at once."""

    def begin(self, job: Job) -> None:
        if job.name.startswith("forget-") and not self.is_down:
            self.files.add(job.release.name)  # the real one makes the directory
        super().begin(job)

    def _run(self, job: Job) -> _FakeJob:
        if job.name.startswith("forget-"):
            return super()._run(replace(job, command="true"))
        running = JobState(
            phase=JobPhase.RUNNING, exit_code=None, started_at=timezone.now(), finished_at=None
        )
        return _FakeJob(job, running)

    def job(self, name: str) -> Job:
        return self._jobs[name].job


@pytest.fixture
def website() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(SECRET.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(website: int) -> Server:
    login = {"ssh_user": "deploy", "host_key": "ssh-ed25519 AAAA", "identity": "PRIVATE"}
    ports = {"port_range_start": website, "port_range_end": website}
    return make_server(kind=ServerKind.SSH, **login, **ports)


@pytest.fixture
def far() -> FarTarget:
    return FarTarget()


def ask(key: str = "run-1", **changes: Any) -> UUID:
    fields: dict[str, Any] = {
        "owner_id": 1,
        "project_id": PROJECT,
        "project_slug": "books",
        "task_id": uuid4(),
        "commit_sha": make_sha(),
        "kind": "web",
        "health_path": "/health",
        "roles": ("web",),
        "facts": ReleaseFacts(contract=CONTRACT),
        "by_us": ByUs(bundle_name="x.bundle", bundle_sha256="ab" * 32, secrets={"DB_PASSWORD": SECRET}),
        **changes,
    }
    return rollouts.request_rollout(idempotency_key=key, request=RolloutRequest(**fields))


def row(deployment_id: UUID) -> ServiceDeployment:
    return ServiceDeployment.objects.get(pk=deployment_id)


def step(deployment_id: UUID, far: FarTarget) -> bool:
    return reconciler.reconcile_deployment(
        deployment_id=deployment_id,
        target=FakeTarget(is_down=True),
        smoke=Smoke(ask_seconds=0.2, stable_seconds=0.1),
        far=lambda _: far,
    )


def settle(deployment_id: UUID, far: FarTarget) -> ServiceDeployment:
    """Step until nobody but the server can move it on."""
    while step(deployment_id, far):
        pass
    return row(deployment_id)


def undo_of(deployment_id: UUID) -> str:
    return f"undo-{deployment_id}"


def build(deployment_id: UUID, far: FarTarget, code: int = 0, **fields: Any) -> ServiceDeployment:
    settle(deployment_id, far)
    far.finish(f"install-{deployment_id}-1", code, **fields)
    return settle(deployment_id, far)


def release(far: FarTarget, key: str = "run-1", **changes: Any) -> UUID:
    """Bring a release up to live."""
    deployment_id = ask(key, **changes)
    build(deployment_id, far)
    far.finish(f"activate-{deployment_id}-1", 0, log=IMAGES)
    assert settle(deployment_id, far).status == DeploymentStatus.LIVE
    return deployment_id


def late(deployment_id: UUID) -> None:
    past = timezone.now() - timedelta(seconds=1)
    ServiceDeployment.objects.filter(pk=deployment_id).update(deadline_at=past)


@pytest.mark.usefixtures("server")
class TestWay:
    def test_release_is_built_made_live_and_asked_from_outside(self, far: FarTarget, website: int) -> None:
        deployment_id = release(far)

        found = row(deployment_id)
        assert (found.target, found.url) == ("server", f"http://127.0.0.1:{website}/")
        assert found.images == {"backend": "sha256:ab"}
        assert found.evidence is not None
        assert found.evidence["smoke"]["status"] == 200
        assert SECRET not in str(found.evidence)

    def test_build_is_told_ports_and_secrets_and_says_neither_on_a_command_line(
        self, far: FarTarget, website: int
    ) -> None:
        deployment_id = ask()
        settle(deployment_id, far)

        job = far.job(f"install-{deployment_id}-1")

        assert job.environment["DB_PASSWORD"] == SECRET
        assert job.environment["PORTS"] == f'{{"WEB_PORT": {website}}}'
        assert SECRET not in job.command
        assert " env -u PORTS -u DB_PASSWORD sh -c " in job.command

    def test_second_release_takes_the_place_of_the_first_at_the_same_address(self, far: FarTarget) -> None:
        first = release(far)

        second = release(far, "run-2")
        settle(first, far)

        assert row(first).status == DeploymentStatus.STOPPED
        assert row(first).removed_at is not None
        assert row(first).url == row(second).url
        assert undo_of(first) not in far.begun
        assert PortAllocation.objects.count() == 1

    def test_live_release_is_left_to_its_servers_docker(self, far: FarTarget) -> None:
        deployment_id = release(far)
        ServiceDeployment.objects.update(observed_at=None)

        assert deployment_id not in set(sweep.list_due())

    @pytest.mark.parametrize("number", range(6))
    def test_death_at_any_moment_changes_nothing(self, far: FarTarget, number: int) -> None:
        far.dies_at = number
        deployment_id = ask()

        for name in ("install", "activate"):
            for _ in range(3):
                try:
                    settle(deployment_id, far)
                except Killed:
                    continue
            far.finish(f"{name}-{deployment_id}-1", 0, log=IMAGES)

        assert settle(deployment_id, far).status == DeploymentStatus.LIVE
        assert far.begun == [f"install-{deployment_id}-1", f"activate-{deployment_id}-1"]


@pytest.mark.usefixtures("server")
class TestFailures:
    @pytest.mark.parametrize(
        ("code", "kind", "status"),
        [
            (64, "compose_missing", "failed"),
            (65, "environment_broken", "failed"),
            (66, "build_failed", "failed"),
            (69, "docker_missing", "crashed"),
            (-9, "install_failed", "crashed"),
        ],
    )
    def test_build_that_fails_touches_nothing_that_runs(
        self, far: FarTarget, code: int, kind: str, status: str
    ) -> None:
        before = release(far)
        deployment_id = ask("run-2")

        found = build(deployment_id, far, code, log="why\n")

        assert (found.status, (found.failure or {})["code"]) == (status, kind)
        assert found.removed_at is not None
        assert row(before).status == DeploymentStatus.LIVE
        assert undo_of(deployment_id) not in far.begun

    def test_ill_release_is_told_as_such_and_the_one_before_is_seen_to(self, far: FarTarget) -> None:
        before = release(far)
        deployment_id = ask("run-2")
        build(deployment_id, far)

        far.finish(f"activate-{deployment_id}-1", 1, log=f"not healthy:\nbackend {SECRET}\n")
        found = settle(deployment_id, far)

        assert (found.failure or {})["code"] == "not_healthy"
        assert SECRET not in found.log_tail
        assert row(before).commit_sha in far.job(undo_of(deployment_id)).command
        with pytest.raises(DeploymentUnderWay):
            ask("run-3")
        far.finish(undo_of(deployment_id), 0)
        assert settle(deployment_id, far).removed_at is not None
        assert row(before).status == DeploymentStatus.LIVE
        release(far, "run-3")

    def test_release_that_nobody_outside_reaches_is_taken_back(self, far: FarTarget, website: int) -> None:
        deployment_id = ask()
        ServiceDeployment.objects.update(health_path="/nothing")
        build(deployment_id, far)
        far.finish(f"activate-{deployment_id}-1", 0)
        step(deployment_id, far)
        late(deployment_id)

        found = settle(deployment_id, far)

        assert (found.failure or {})["code"] == "smoke_failed"
        assert " deploy books '' " in far.job(undo_of(deployment_id)).command

    def test_work_that_is_lost_is_begun_again_and_not_for_ever(self, far: FarTarget) -> None:
        deployment_id = ask()
        settle(deployment_id, far)

        for number in (1, 2, 3):
            far.lose(f"install-{deployment_id}-{number}")
            settle(deployment_id, far)

        assert (row(deployment_id).failure or {})["code"] == "install_lost"
        assert len([name for name in far.begun if name.startswith("install-")]) == 3
        assert not far.files

    def test_job_that_begins_after_its_release_is_gone_goes_with_the_next(self, far: FarTarget) -> None:
        first = ask()
        settle(first, far)
        late = far.job(f"install-{first}-1")
        services.cancel_deployment(deployment_id=first)
        settle(first, far)
        stranger = f"install-{uuid4()}-1"
        far.begin(late)
        far.begin(replace(late, name=stranger, deployment_id=stranger[8:-2]))
        far.begin(replace(late, name="somebody-elses"))

        second = ask("run-2")
        build(second, far, 66)

        assert set(far.list_jobs()) == {stranger, "somebody-elses"}

    def test_step_that_never_comes_to_its_end_is_bounded_too(self, far: FarTarget) -> None:
        far.dies_at = 0
        deployment_id = ask()
        with pytest.raises(Killed):
            settle(deployment_id, far)
        late(deployment_id)

        found = settle(deployment_id, far)

        assert (found.failure or {})["code"] == "install_timeout"
        assert found.removed_at is not None

    def test_server_that_is_lost_in_the_middle_ends_the_release_and_is_tidied_when_it_is_back(
        self, far: FarTarget
    ) -> None:
        deployment_id = ask()
        build(deployment_id, far)
        far.is_down = True

        with pytest.raises(TargetUnavailable):
            settle(deployment_id, far)
        late(deployment_id)
        with pytest.raises(TargetUnavailable):
            settle(deployment_id, far)

        assert (row(deployment_id).failure or {})["code"] == "target_unavailable"
        assert row(deployment_id).removed_at is None
        far.is_down = False
        settle(deployment_id, far)
        far.finish(undo_of(deployment_id), 0)
        close_ports()
        assert settle(deployment_id, far).removed_at is not None
        assert not far.list_jobs()

    def test_cancelled_build_leaves_nothing(self, far: FarTarget) -> None:
        deployment_id = ask()
        settle(deployment_id, far)

        services.cancel_deployment(deployment_id=deployment_id)
        found = settle(deployment_id, far)

        assert found.status == DeploymentStatus.CANCELED
        assert found.removed_at is not None
        assert not far.list_jobs()
        assert not far.files
        assert f"forget-{deployment_id}" in far.begun

    def test_values_on_the_server_are_seen_to_be_gone(self, far: FarTarget) -> None:
        deployment_id = ask()
        settle(deployment_id, far)
        services.cancel_deployment(deployment_id=deployment_id)
        far.fails_after = {"begin"}
        with pytest.raises(TargetUnavailable):
            settle(deployment_id, far)
        far.lose(f"forget-{deployment_id}")

        unproven = settle(deployment_id, far).removed_at
        found = settle(deployment_id, far)

        assert found.status == DeploymentStatus.CANCELED
        assert unproven is None
        assert found.removed_at is not None


def close_ports() -> None:
    """Nobody listens at the project's port any more."""
    PortAllocation.objects.update(port=1024 + PortAllocation.objects.count())


@pytest.mark.usefixtures("server")
class TestStop:
    def test_stop_is_over_when_all_is_seen_to_be_gone(self, far: FarTarget) -> None:
        deployment_id = release(far)

        services.stop_deployment(deployment_id=deployment_id)
        settle(deployment_id, far)
        far.finish(undo_of(deployment_id), 0, lived=timedelta(seconds=1))
        still_there = settle(deployment_id, far).status
        close_ports()
        found = settle(deployment_id, far)

        assert still_there == DeploymentStatus.STOPPING
        assert found.status == DeploymentStatus.STOPPED
        assert found.removed_at is not None
        assert found.environment == "{}"
        assert not far.list_jobs()

    def test_port_that_stays_open_is_never_taken_for_closed(self, far: FarTarget) -> None:
        deployment_id = release(far)
        services.stop_deployment(deployment_id=deployment_id)
        name = undo_of(deployment_id)

        told = []
        for _ in range(3):
            settle(deployment_id, far)
            far.finish(name, 0)
            far._jobs[name].state = replace_finished(far._jobs[name].state, minutes=2)
            settle(deployment_id, far)
            told.append(Incident.objects.filter(kind="port_not_closed", status="open").count())
        still_there = row(deployment_id).status
        close_ports()
        settle(deployment_id, far)
        far.finish(name, 0)
        found = settle(deployment_id, far)

        assert far.begun.count(name) == 4
        assert told == [0, 0, 1]
        assert still_there == DeploymentStatus.STOPPING
        assert found.status == DeploymentStatus.STOPPED
        assert not Incident.objects.filter(status="open").exists()

    def test_removal_that_fails_is_tried_again_after_a_while(self, far: FarTarget) -> None:
        deployment_id = release(far)
        services.stop_deployment(deployment_id=deployment_id)
        settle(deployment_id, far)
        name = undo_of(deployment_id)

        far.finish(name, 1)
        far._jobs[name].state = replace_finished(far._jobs[name].state, minutes=2)
        settle(deployment_id, far)
        settle(deployment_id, far)

        assert far.begun.count(name) == 2
        assert row(deployment_id).status == DeploymentStatus.STOPPING

    def test_release_whose_successor_comes_is_not_stopped(self, far: FarTarget) -> None:
        deployment_id = release(far)
        ask("run-2")

        with pytest.raises(DeploymentUnderWay):
            services.stop_deployment(deployment_id=deployment_id)

    def test_server_that_is_given_up_takes_its_releases_with_it(self, far: FarTarget) -> None:
        deployment_id = release(far)
        services.stop_deployment(deployment_id=deployment_id)
        Server.objects.update(status="decommissioned")
        far.is_down = True

        found = settle(deployment_id, far)

        assert found.status == DeploymentStatus.STOPPED
        assert found.removed_at is not None


def replace_finished(state: JobState, *, minutes: int) -> JobState:
    ended = timezone.now() - timedelta(minutes=minutes)
    return JobState(phase=state.phase, exit_code=state.exit_code, started_at=ended, finished_at=ended)


class TestWords:
    @pytest.mark.parametrize("log", ["", "no json", '["a"]', "null", '{"a": 1'])
    def test_strange_images_are_none(self, log: str) -> None:
        assert server_releases.images_of(log) == {}

    def test_both_ill_is_not_the_new_codes_fault(self) -> None:
        log = "not healthy:\nthe release before is not healthy either\n"

        code, _, kind = server_releases.activation_problem(5, log)

        assert (code, kind) == ("activation_failed", "platform")

    @pytest.mark.parametrize("code", [65, 66])
    def test_full_disk_is_nobodys_fault_but_the_machines(self, code: int) -> None:
        log = "Traceback:\nOSError: [Errno 28] No space left on device: '.env'\n"

        name, _, kind = server_releases.install_problem(code, log)

        assert (name, kind) == ("install_failed", "platform")

    def test_address_of_an_ipv6_server_is_bracketed(self) -> None:
        found = ServiceDeployment(server=Server(host="2001:db8::1"), contract=CONTRACT)

        assert server_releases.address_of(found, {"web": 8000}) == "http://[2001:db8::1]:8000/"


class TestDoor:
    @pytest.mark.parametrize(
        "status", ["unreachable", "missing", "discovered", "pending_setup", "provisioning", "decommissioned"]
    )
    def test_server_that_is_away_is_not_waited_for(self, server: Server, status: str) -> None:
        server.status = status

        with pytest.raises(TargetUnavailable) as refusal:
            composition.get_server_target(server)

        assert refusal.value.error_code == "server_unreachable"

    def test_server_that_was_taken_out_lets_what_is_on_it_end(self, server: Server) -> None:
        server.status = ServerStatus.MAINTENANCE

        assert composition.get_server_target(server)

    def test_server_without_a_key_is_not_knocked_at(self) -> None:
        bare = make_server(kind=ServerKind.SSH, ssh_user="deploy", host_key="ssh-ed25519 AAAA")

        with pytest.raises(TargetUnavailable) as refusal:
            composition.get_server_target(bare)

        assert refusal.value.error_code == "server_incomplete"
