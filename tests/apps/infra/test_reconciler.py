"""Deployments in crash order, with a target in memory and real answers over HTTP."""

import contextlib
import socket
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from apps import storage
from apps.infra import reconciler, services, signals
from apps.infra.models import DeploymentStatus, PortAllocation, Server, ServiceDeployment
from apps.infra.probe import ProbeResult
from apps.infra.targets.base import JobPhase, TargetUnavailable
from apps.lifecycle import IllegalTransition
from tests.fakes_target import FakeTarget, Killed

pytestmark = [pytest.mark.service, pytest.mark.django_db]

LIVE, STOPPED = DeploymentStatus.LIVE, DeploymentStatus.STOPPED


def row_of(deployment_id: UUID) -> ServiceDeployment:
    return ServiceDeployment.objects.get(pk=deployment_id)


def port_of(deployment_id: UUID) -> int:
    return PortAllocation.objects.get(deployment_id=deployment_id).port


def own_ports() -> QuerySet[PortAllocation]:
    """Return the ports of releases, without those that projects keep."""
    return PortAllocation.objects.exclude(deployment=None)


def kept_port() -> int:
    return PortAllocation.objects.get(deployment=None).port


def make_late(deployment_id: UUID) -> None:
    past = timezone.now() - timedelta(seconds=1)
    ServiceDeployment.objects.filter(pk=deployment_id).update(deadline_at=past)


@pytest.fixture
def stranger():
    """Listens on ports that are not its own."""
    sockets: list[socket.socket] = []

    def take(port: int) -> None:
        # Closed if the port is taken; a socket that was not would accuse whichever test runs then.
        sockets.append(socket.create_server(("127.0.0.1", port)))

    yield take
    for listener in sockets:
        listener.close()


@pytest.fixture
def at_starting(ask, step):
    """A release that is installed and was not started yet."""

    def make(**changes) -> UUID:
        deployment_id = ask(**changes)
        step(deployment_id)
        step(deployment_id)
        assert row_of(deployment_id).status == DeploymentStatus.STARTING
        return deployment_id

    return make


class TestTheGoodWay:
    def test_release_becomes_live_with_its_url_and_evidence(self, ask, drive, target):
        deployment_id = ask()

        row = drive(deployment_id)

        assert row.status == LIVE
        assert row.url == f"http://127.0.0.1:{kept_port()}/"
        assert kept_port() != port_of(deployment_id)
        assert row.evidence["smoke"]["url"] == f"{row.url}health"
        assert row.evidence["smoke"]["status"] == 200
        assert row.evidence["smoke"]["body"] == '{"status": "ok"}'
        assert row.evidence["commit_sha"] == row.commit_sha
        assert row.evidence["install_seconds"] >= 0
        assert target.begun == [f"install-{row.pk}-1", f"service-{row.pk}-1"]

    def test_service_knows_its_port_and_secrets_and_its_installation_does_not(self, ask, drive, target):
        deployment_id = ask(environment={"API_KEY": "sesame"})

        drive(deployment_id)

        given = target.environment_of(f"service-{deployment_id}-1")
        assert given["API_KEY"] == "sesame"
        assert given["PORT"] == str(port_of(deployment_id))
        assert target.environment_of(f"install-{deployment_id}-1") == {}

    def test_each_move_is_announced_with_the_id(self, ask, step, django_capture_on_commit_callbacks):
        heard = []

        def note(sender, deployment_id, **_):
            heard.append((deployment_id, row_of(deployment_id).status))

        signals.deployment_changed.connect(note)
        deployment_id = ask()
        with django_capture_on_commit_callbacks(execute=True):
            step(deployment_id)
            step(deployment_id)
            step(deployment_id)

        assert [found for found, _ in heard] == [deployment_id] * 3

    def test_steps_that_come_twice_or_late_change_nothing(self, ask, drive, step, target):
        deployment_id = ask()
        drive(deployment_id)

        step(deployment_id)
        step(deployment_id)

        assert row_of(deployment_id).status == LIVE
        assert len(target.begun) == 2


class TestDeath:
    """The process that drives is killed; the next one goes on."""

    @pytest.mark.parametrize("moment", range(8))
    def test_kill_around_a_verb_leaves_one_service(self, ask, drive, target, moment):
        deployment_id = ask()
        target.dies_at = moment
        try:
            drive(deployment_id)
        except Killed:
            target.dies_at = None

        row = drive(deployment_id)

        assert row.status == LIVE
        assert target.running == [f"service-{row.pk}-1"]
        assert target.begun == [f"install-{row.pk}-1", f"service-{row.pk}-1"]

    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("number", range(9))
    def test_kill_around_a_write_leaves_one_service(self, ask, drive, target, number, before):
        deployment_id = ask()
        with KilledAtWrite(number, before=before), contextlib.suppress(Killed):
            drive(deployment_id)

        row = drive(deployment_id)

        assert row.status == LIVE
        assert target.running == [f"service-{row.pk}-1"]
        assert target.begun == [f"install-{row.pk}-1", f"service-{row.pk}-1"]

    @pytest.mark.parametrize("number", range(12))
    def test_kill_during_a_replacement_leaves_the_new_one_alone(self, ask, drive, target, number):
        old, new = ask("old"), None
        drive(old)
        new = ask("new")
        with KilledAtWrite(number, before=True):
            try:
                drive(new)
                drive(old)
            except Killed:
                pass

        assert drive(new).status == LIVE
        assert drive(old).status == STOPPED
        assert target.running == [f"service-{new}-1"]
        assert list(own_ports().values_list("deployment_id", flat=True)) == [new]

    @pytest.mark.parametrize("moment", range(8))
    def test_kill_during_a_cleaning_leaves_nothing(self, ask, drive, target, moment):
        deployment_id = ask()
        drive(deployment_id)
        services.stop_deployment(deployment_id=deployment_id)
        target._changes, target.dies_at = 0, moment
        with contextlib.suppress(Killed):
            drive(deployment_id)
        target.dies_at = None

        row = drive(deployment_id)

        assert row.status == STOPPED
        assert row.removed_at is not None
        assert (target.list_jobs(), target.files) == ({}, set())
        assert not own_ports().exists()

    @pytest.mark.parametrize("verb", ["begin", "inspect", "is_port_free"])
    def test_lost_answer_is_asked_for_again(self, ask, drive, target, verb):
        deployment_id = ask()
        target.fails_after = {verb}
        with pytest.raises(TargetUnavailable):
            drive(deployment_id)

        row = drive(deployment_id)

        assert row.status == LIVE
        assert len(target.begun) == 2


class KilledAtWrite:
    """Kills whoever makes the given write to the database, before or after it."""

    def __init__(self, number: int, *, before: bool) -> None:
        self._left = number
        self._before = before

    def __enter__(self):
        self._wrapper = connection.execute_wrapper(self._execute)
        self._wrapper.__enter__()

    def __exit__(self, *_):
        self._wrapper.__exit__(None, None, None)

    def _execute(self, execute, sql, params, many, context):
        if sql.split(" ", 1)[0] not in {"INSERT", "UPDATE", "DELETE"}:
            return execute(sql, params, many, context)
        self._left -= 1
        if self._left == -1 and self._before:
            raise Killed
        result = execute(sql, params, many, context)
        if self._left == -1:
            raise Killed
        return result


class TestInstallation:
    def test_failing_setup_is_the_releases_own_failure_with_its_log(self, ask, drive, target):
        deployment_id = ask(setup_command="exit 3")

        row = drive(deployment_id)

        assert (row.status, row.failure["code"]) == (DeploymentStatus.FAILED, "setup_failed")
        assert (row.failure["kind"], row.failure["retryable"]) == ("product", False)
        assert "exit code 3" in row.failure["message"]
        assert row.log_tail == "exit 3 ended"

    def test_failure_frees_the_port_and_deletes_the_files(self, ask, drive, target):
        row = drive(ask(setup_command="exit 3"))

        assert row.removed_at is not None
        assert not own_ports().exists()
        assert (target.list_jobs(), target.files) == ({}, set())

    def test_slow_setup_is_waited_for_and_not_asked_without_pause(self, ask, step, target):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)

        again = step(deployment_id)

        assert not again
        assert row_of(deployment_id).status == DeploymentStatus.INSTALLING

    def test_setup_that_is_late_is_ended(self, ask, step, target):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)
        step(deployment_id)
        make_late(deployment_id)

        step(deployment_id)

        assert row_of(deployment_id).failure["code"] == "install_timeout"
        assert target.running == []

    def test_lost_installation_is_begun_again_elsewhere(self, ask, step, target, drive):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)
        step(deployment_id)
        target.lose(f"install-{deployment_id}-1")
        step(deployment_id)
        step(deployment_id)
        target.finish(f"install-{deployment_id}-2", 0)

        row = drive(deployment_id)

        assert (row.status, row.installs) == (LIVE, 2)
        assert target.files == {f"{deployment_id}-2"}

    def test_installation_lost_too_often_is_the_platforms_failure(self, ask, step, target):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)
        for attempt in range(1, reconciler.MAX_INSTALLS + 1):
            step(deployment_id)
            target.lose(f"install-{deployment_id}-{attempt}")
            step(deployment_id)

        row = row_of(deployment_id)

        assert (row.status, row.failure["code"]) == (DeploymentStatus.CRASHED, "install_lost")
        assert (row.failure["kind"], row.failure["retryable"]) == ("platform", True)

    def test_log_that_the_database_cannot_hold_or_that_tells_a_secret_is_made_presentable(
        self, ask, step, target
    ):
        deployment_id = ask(
            setup_command="sleep 60", environment={"API_KEY": "open-sesame"}, secrets=("open-sesame",)
        )
        step(deployment_id)
        step(deployment_id)
        target.finish(f"install-{deployment_id}-1", 1, log="nul \0 key=open-sesame \ud800")

        step(deployment_id)

        row = row_of(deployment_id)
        assert row.log_tail == "nul \ufffd key=*** ?"
        assert "sesame" not in str(row.failure)

    def test_secrets_are_forgotten_when_a_release_has_failed(self, ask, step, target):
        deployment_id = ask(
            setup_command="sleep 60", environment={"API_KEY": "open-sesame"}, secrets=("open-sesame",)
        )
        step(deployment_id)
        step(deployment_id)
        target.finish(f"install-{deployment_id}-1", 1)

        step(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.environment) == (DeploymentStatus.FAILED, "{}")


class TestPlaceThatDoesNotAnswer:
    def test_silence_says_nothing_about_the_release(self, ask, step, target):
        deployment_id = ask()
        step(deployment_id)
        target.is_down = True

        with pytest.raises(TargetUnavailable):
            step(deployment_id)

        assert row_of(deployment_id).status == DeploymentStatus.INSTALLING

    def test_silence_beyond_the_deadline_is_the_platforms_failure(self, ask, step, target):
        deployment_id = ask()
        step(deployment_id)
        target.is_down = True
        make_late(deployment_id)

        with pytest.raises(TargetUnavailable):
            step(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.failure["code"]) == (DeploymentStatus.CRASHED, "target_unavailable")
        assert row.removed_at is None
        assert PortAllocation.objects.filter(deployment=row).exists()

    def test_cleaning_follows_when_it_answers_again(self, ask, step, target):
        deployment_id = ask(setup_command="sleep 60")
        step(deployment_id)
        step(deployment_id)
        make_late(deployment_id)
        target.is_down = True
        with pytest.raises(TargetUnavailable):
            step(deployment_id)
        target.is_down = False

        step(deployment_id)

        assert row_of(deployment_id).removed_at is not None
        assert (target.running, own_ports().count()) == ([], 0)

    def test_bundle_that_is_gone_ends_the_release_at_once(self, ask, step):
        class WithoutBundle(FakeTarget):
            def begin(self, job):
                raise storage.BundleMissing(details={"name": job.bundle_name})

        deployment_id = ask()
        reconciler.reconcile_deployment(deployment_id=deployment_id, target=WithoutBundle())

        reconciler.reconcile_deployment(deployment_id=deployment_id, target=WithoutBundle())

        row = row_of(deployment_id)
        assert (row.status, row.failure["code"]) == (DeploymentStatus.CRASHED, "bundle_missing")


class TestFirstStart:
    def test_service_that_exits_at_once_fails_with_its_exit_code_and_log(self, ask, drive):
        row = drive(ask(run_command="exit 7"))

        assert (row.status, row.failure["code"]) == (DeploymentStatus.FAILED, "service_exited")
        assert "exit code 7" in row.failure["message"]
        assert row.failure["details"]["log_tail"] == "exit 7 ended"

    def test_health_that_is_never_200_fails_at_the_deadline(self, at_starting, step, target):
        deployment_id = at_starting(run_command="serve 503")
        assert step(deployment_id)
        make_late(deployment_id)

        step(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.failure["code"]) == (DeploymentStatus.FAILED, "smoke_failed")
        assert "503" in row.failure["message"]
        assert (target.running, own_ports().count()) == ([], 0)

    def test_redirect_is_not_an_answer(self, at_starting, step):
        deployment_id = at_starting(run_command="serve 302")
        make_late(deployment_id)

        step(deployment_id)

        assert row_of(deployment_id).failure["code"] == "smoke_failed"

    def test_lost_first_start_is_started_again(self, at_starting, step, drive, target):
        deployment_id = at_starting(run_command="sleep 60")
        step(deployment_id)
        target.lose(f"service-{deployment_id}-1")

        step(deployment_id)

        assert row_of(deployment_id).starts == 2
        assert row_of(deployment_id).status == DeploymentStatus.STARTING

    def test_start_lost_too_often_is_the_platforms_failure(self, at_starting, step, target):
        deployment_id = at_starting(run_command="serve")
        limit = reconciler.MAX_FIRST_STARTS
        ServiceDeployment.objects.filter(pk=deployment_id).update(starts=limit)
        target.begin(reconciler.releases.service_job(row_of(deployment_id), port=port_of(deployment_id)))
        target.lose(f"service-{deployment_id}-{limit}")

        step(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.failure["code"]) == (DeploymentStatus.CRASHED, "service_lost")


class TestStrangers:
    def test_port_of_a_stranger_is_left_to_him(self, ask, drive, server, stranger):
        deployment_id = ask()
        stranger(port_of(deployment_id))

        row = drive(deployment_id)

        assert row.status == LIVE
        assert port_of(deployment_id) == server.port_range_start + 2
        assert own_ports().count() == 1

    def test_several_strangers_are_passed_by(self, ask, drive, server, stranger):
        deployment_id = ask()
        for offset in range(1, 4):
            stranger(server.port_range_start + offset)

        drive(deployment_id)

        assert port_of(deployment_id) == server.port_range_start + 4

    def test_stranger_who_comes_between_the_look_and_the_start_is_passed_by(
        self, at_starting, drive, target, stranger
    ):
        deployment_id = at_starting()
        taken = port_of(deployment_id)
        stranger(taken)
        target.begin(reconciler.releases.service_job(row_of(deployment_id), port=taken))

        row = drive(deployment_id)

        assert row.status == LIVE
        assert port_of(deployment_id) != taken
        assert row.starts == 2

    def test_strangers_on_every_port_are_told_at_the_deadline(self, at_starting, step, server, stranger):
        Server.objects.filter(pk=server.pk).update(port_range_end=server.port_range_start + 1)
        deployment_id = at_starting()
        stranger(server.port_range_start + 1)
        make_late(deployment_id)

        step(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.failure["code"]) == (DeploymentStatus.CRASHED, "ports_taken")

    def test_answer_of_a_stranger_is_not_ours(self, ask, at_starting, step, target):
        deployment_id = at_starting(run_command="serve")
        step_target = _DiesWhileAsked(target)

        reconciler.reconcile_deployment(deployment_id=deployment_id, target=step_target)

        assert row_of(deployment_id).status == DeploymentStatus.STARTING


class _DiesWhileAsked:
    """A target whose service is found dead at the second look, though somebody answered."""

    def __init__(self, fake: FakeTarget) -> None:
        self._fake = fake
        self._looks = 0

    def __getattr__(self, verb):
        return getattr(self._fake, verb)

    def inspect(self, name):
        self._looks += 1
        return self._fake.inspect(name) if self._looks < 3 else None


class TestReplacement:
    def test_replaced_release_forgets_its_secrets_and_the_new_one_has_them(self, ask, drive, step, target):
        secrets = {"API_KEY": "open-sesame"}
        old = ask("run-1", environment=secrets)
        drive(old)
        new = ask("run-2", environment=secrets)
        drive(new)
        drive(old)
        target.finish(f"service-{new}-1", 1)

        step(new)
        step(new)

        assert (row_of(old).status, row_of(old).environment) == (STOPPED, "{}")
        assert target.environment_of(f"service-{new}-2")["API_KEY"] == "open-sesame"

    def test_new_release_replaces_the_old_one_once_it_has_answered(self, ask, drive, target):
        old = ask("old")
        drive(old)
        new = ask("new")

        live = drive(new)

        assert (live.status, row_of(old).status) == (LIVE, DeploymentStatus.STOPPING)
        assert drive(old).status == STOPPED
        assert target.running == [f"service-{new}-1"]

    @pytest.mark.parametrize("bad", [{"setup_command": "exit 1"}, {"run_command": "exit 1"}])
    def test_old_release_stays_when_the_new_one_fails(self, ask, drive, target, bad):
        old = ask("old")
        drive(old)

        new = drive(ask("new", **bad))

        assert (new.status, drive(old).status) == (DeploymentStatus.FAILED, LIVE)
        assert target.running == [f"service-{old}-1"]

    def test_release_of_another_service_is_left_alone(self, ask, drive):
        backend, frontend = ask("one"), ask("two", service_name="frontend")
        drive(backend)

        drive(frontend)

        assert row_of(backend).status == row_of(frontend).status == LIVE

    def test_new_release_does_not_go_live_over_a_row_that_was_moved_meanwhile(self, ask, at_starting, step):
        deployment_id = at_starting()
        row = row_of(deployment_id)
        services.cancel_deployment(deployment_id=deployment_id)

        with pytest.raises(IllegalTransition):
            reconciler._go_live(row, _answer(), _state(), url="http://x/")

        assert row_of(deployment_id).status == DeploymentStatus.CANCELING


def _answer():
    return ProbeResult(url="http://x/", status=200, seconds=0.1, body="")


def _state():
    return reconciler.JobState(
        phase=JobPhase.RUNNING, exit_code=None, started_at=timezone.now(), finished_at=None
    )


class TestCancel:
    @pytest.mark.parametrize("steps", [0, 1, 2, 3])
    def test_cancel_at_any_stage_leaves_nothing(self, ask, step, drive, target, steps):
        deployment_id = ask(run_command="sleep 60") if steps == 3 else ask(setup_command="sleep 60")
        if steps == 3:
            for _ in range(3):
                step(deployment_id)
            assert target.running == [f"service-{deployment_id}-1"]
        else:
            for _ in range(steps):
                step(deployment_id)

        services.cancel_deployment(deployment_id=deployment_id)

        row = drive(deployment_id)
        assert row.status == DeploymentStatus.CANCELED
        assert (target.list_jobs(), target.files) == ({}, set())
        assert not own_ports().exists()

    @pytest.mark.parametrize("number", range(6))
    def test_cancel_survives_a_kill(self, ask, step, drive, target, number):
        deployment_id = ask(run_command="sleep 60")
        for _ in range(3):
            step(deployment_id)
        services.cancel_deployment(deployment_id=deployment_id)
        with KilledAtWrite(number, before=True), contextlib.suppress(Killed):
            drive(deployment_id)

        row = drive(deployment_id)

        assert (row.status, target.list_jobs()) == (DeploymentStatus.CANCELED, {})
        assert row.removed_at is not None

    def test_live_release_is_not_canceled(self, ask, drive):
        deployment_id = ask()
        drive(deployment_id)

        services.cancel_deployment(deployment_id=deployment_id)

        assert row_of(deployment_id).status == LIVE

    def test_port_stays_taken_while_a_process_resists(self, ask, step, target):
        deployment_id = ask(run_command="sleep 60")
        for _ in range(3):
            step(deployment_id)
        services.cancel_deployment(deployment_id=deployment_id)
        target.unkillable = {f"service-{deployment_id}-1"}

        with pytest.raises(TargetUnavailable):
            step(deployment_id)

        assert row_of(deployment_id).status == DeploymentStatus.CANCELING
        assert PortAllocation.objects.filter(deployment_id=deployment_id).exists()


class TestKeepAlive:
    def test_service_that_was_killed_is_started_again_on_its_port(self, ask, drive, step, target):
        deployment_id = ask()
        url = drive(deployment_id).url
        target.finish(f"service-{deployment_id}-1", -9, log="last words")

        drive(deployment_id)

        row = row_of(deployment_id)
        assert (row.status, row.url, row.starts) == (LIVE, url, 2)
        assert row.log_tail == "last words"
        assert target.running == [f"service-{deployment_id}-2"]
        assert target.environment_of(f"service-{deployment_id}-2")["PORT"] == str(port_of(deployment_id))

    def test_service_that_keeps_ending_at_once_is_given_a_pause(self, ask, drive, step, target):
        deployment_id = ask()
        drive(deployment_id)
        for start in range(1, 4):
            target.finish(f"service-{deployment_id}-{start}", 1, lived=timedelta(seconds=1))
            drive(deployment_id)
        target.finish(f"service-{deployment_id}-4", 1, lived=timedelta(seconds=1))

        again = step(deployment_id)

        assert not again
        assert target.running == []
        assert row_of(deployment_id).starts == 4

    def test_unit_that_is_gone_is_started_again_with_the_same_port(self, ask, drive, target):
        deployment_id = ask()
        drive(deployment_id)
        target.vanish(f"service-{deployment_id}-1")

        drive(deployment_id)

        assert target.running == [f"service-{deployment_id}-1"]
        given = target.environment_of(f"service-{deployment_id}-1")
        assert given["PORT"] == str(port_of(deployment_id))

    @pytest.mark.parametrize("number", range(3))
    @pytest.mark.parametrize("before", [True, False])
    def test_kill_during_a_restart_leaves_one_service(self, ask, drive, target, number, before):
        deployment_id = ask()
        drive(deployment_id)
        target.finish(f"service-{deployment_id}-1", -9)
        with KilledAtWrite(number, before=before), contextlib.suppress(Killed):
            drive(deployment_id)

        drive(deployment_id)

        assert len(target.running) == 1

    def test_stopped_release_frees_its_port_and_is_not_started_again(self, ask, drive, step, target):
        deployment_id = ask()
        drive(deployment_id)

        services.stop_deployment(deployment_id=deployment_id)

        assert drive(deployment_id).status == STOPPED
        assert not step(deployment_id)
        assert (target.list_jobs(), own_ports().count()) == ({}, 0)

    def test_end_of_a_job_nobody_owns_is_no_error(self, step):
        assert step(UUID(int=7)) is False
