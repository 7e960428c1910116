"""What every deploy target must do: the one in memory, processes of this machine, a server over SSH."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apps import storage
from apps.infra.targets import base
from apps.infra.targets.server import ServerTarget
from tests.fakes_target import FakeTarget, ForbiddenCall
from tests.ssh_server import SshServer, make_key, public_part, ssh_server
from tests.target_stages import (
    FakeStage,
    LocalStage,
    ServerStage,
    Source,
    Stage,
    access_to,
    answers,
    ask,
    free_port,
    marked,
    wait_for,
)

pytestmark = pytest.mark.service


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="target-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def source(place: Path) -> Source:
    return Source(place)


@pytest.fixture
def host(place: Path) -> Iterator[SshServer]:
    home = place / "home"
    home.mkdir()
    with ssh_server({"PATH": "/usr/bin:/bin", "HOME": str(home)}) as server:
        yield server


@pytest.fixture(params=["fake", "local", "server"])
def stage(request: pytest.FixtureRequest, place: Path) -> Iterator[Stage]:
    result: Stage
    match request.param:
        case "fake":
            result = FakeStage()
        case "local":
            result = LocalStage(place)
        case _:
            result = ServerStage(request.getfixturevalue("host"), place / "home")
    yield result
    for name in result.target.list_jobs():
        result.target.end(name)


@pytest.fixture
def release() -> base.Release:
    return base.Release(name="release-1", project="books-1", service="backend", data_directory="data")


@pytest.fixture
def install(source: Source, release: base.Release) -> Callable[..., base.Job]:
    def make(command: str = "true", **changes: Any) -> base.Job:
        job = base.Job(
            name="install-1",
            release=release,
            command=command,
            timeout_seconds=60,
            bundle_name=source.name,
            bundle_sha256=source.sha256,
            commit_sha=source.sha,
            deployment_id="deployment-1",
        )
        return replace(job, **changes)

    return make


@pytest.fixture
def service(release: base.Release) -> Callable[..., base.Job]:
    def make(command: str, *, port: int, **changes: Any) -> base.Job:
        job = base.Job(
            name="service-1",
            release=release,
            command=command,
            environment={"PORT": str(port)},
            timeout_seconds=60,
            deployment_id="deployment-1",
        )
        return replace(job, **changes)

    return make


def ended(target: base.DeployTarget, name: str) -> base.JobState:
    def is_over() -> bool:
        state = target.inspect(name)
        return state is not None and state.phase is not base.JobPhase.RUNNING

    wait_for(is_over)
    state = target.inspect(name)
    assert state is not None
    return state


def installed(stage: Stage, job: base.Job) -> None:
    stage.target.begin(job)
    assert ended(stage.target, job.name).exit_code == 0


def test_unknown_job_is_none_and_has_no_log(stage: Stage) -> None:
    assert stage.target.inspect("install-1") is None
    assert stage.target.logs("install-1", tail_bytes=100) == ""


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 3)])
def test_installation_ends_with_the_code_of_its_command(stage: Stage, install, command, code) -> None:
    stage.target.begin(install(command))

    state = ended(stage.target, "install-1")

    assert (state.phase, state.exit_code) == (base.JobPhase.EXITED, code)
    assert state.finished_at is not None
    assert state.finished_at >= state.started_at


def test_finished_installation_is_adopted_and_not_run_again(stage: Stage, install) -> None:
    stage.target.begin(install("exit 3"))
    first = ended(stage.target, "install-1")

    stage.target.begin(install("exit 3"))

    assert stage.target.inspect("install-1") == first


def test_running_job_is_adopted(stage: Stage, install) -> None:
    stage.target.begin(install("sleep 60"))
    first = stage.target.inspect("install-1")

    stage.target.begin(install("sleep 60"))

    assert first is not None
    assert first.phase is base.JobPhase.RUNNING
    assert stage.target.inspect("install-1") == first


def test_simultaneous_begins_make_one_job(stage: Stage, install) -> None:
    job = install("sleep 60")

    def begin() -> None:
        # One may clear away what another has just made; who is told so comes again, as with any refusal.
        for _ in range(20):
            with contextlib.suppress(base.TargetUnavailable):
                stage.target.begin(job)
                return

    threads = [threading.Thread(target=begin) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stage.target.list_jobs() == {"install-1": "deployment-1"}


def test_service_answers_on_its_port_until_it_is_ended(stage: Stage, install, service) -> None:
    port = free_port()
    installed(stage, install())

    stage.target.begin(service(stage.serve, port=port))
    wait_for(lambda: answers(port))
    was_free = stage.target.is_port_free(port)
    stage.target.end("service-1")

    assert not was_free
    assert not answers(port)
    assert stage.target.is_port_free(port)
    assert stage.target.inspect("service-1") is None


def test_lost_job_has_no_exit_code(stage: Stage, install) -> None:
    stage.target.begin(install("sleep 60"))

    stage.lose("install-1")

    state = stage.target.inspect("install-1")
    assert state is not None
    assert (state.phase, state.exit_code) == (base.JobPhase.LOST, None)


def test_ended_job_can_be_begun_anew_over_what_the_first_left(stage: Stage, install) -> None:
    stage.target.begin(install())
    ended(stage.target, "install-1")
    stage.target.end("install-1")

    stage.target.begin(install())

    assert ended(stage.target, "install-1").exit_code == 0


def test_end_and_discard_are_safe_before_and_after(stage: Stage, install, release) -> None:
    stage.target.end("install-1")
    stage.target.discard(release)
    stage.target.begin(install("sleep 60"))

    stage.target.end("install-1")
    stage.target.end("install-1")
    stage.target.discard(release)
    stage.target.discard(release)

    assert stage.target.inspect("install-1") is None
    assert stage.target.list_jobs() == {}


def test_every_job_is_listed_with_its_deployment(stage: Stage, install, service) -> None:
    installed(stage, install())

    stage.target.begin(service("sleep 60", port=free_port(), deployment_id="deployment-2"))

    assert stage.target.list_jobs() == {"install-1": "deployment-1", "service-1": "deployment-2"}


def test_port_of_a_stranger_is_not_free(stage: Stage) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]

        taken = stage.target.is_port_free(port)

    assert not taken
    assert stage.target.is_port_free(port)


def test_secrets_do_not_show_in_a_job(service) -> None:
    assert "sesame" not in repr(service("serve", port=1024, environment={"TOKEN": "sesame"}))


class TestLocal:
    """What only this machine's target promises."""

    @pytest.fixture
    def local(self, place: Path) -> Iterator[LocalStage]:
        stage = LocalStage(place)
        yield stage
        for name in stage.target.list_jobs():
            stage.target.end(name)

    def test_data_are_kept_from_release_to_release(self, local, install, service) -> None:
        port, second = (
            free_port(),
            base.Release(name="release-2", project="books-1", service="backend", data_directory="data"),
        )
        installed(local, install())
        local.target.begin(service(local.serve, port=port))
        wait_for(lambda: answers(port))
        before = int(ask(port))
        local.target.end("service-1")
        local.target.discard(install().release)

        installed(local, install(name="install-2", release=second))
        local.target.begin(service(local.serve, port=port, name="service-2", release=second))
        wait_for(lambda: answers(port))

        assert int(ask(port)) > before

    def test_installation_that_was_lost_half_way_is_begun_on_clean_ground(
        self, local, install, place
    ) -> None:
        leftover = place / "releases" / "release-1"
        leftover.mkdir(parents=True)
        (leftover / "half-written").write_text("by a process that is gone")

        installed(local, install())

        assert not (leftover / "half-written").exists()
        assert (leftover / "serve.py").exists()

    def test_bundle_that_is_missing_is_not_found(self, local, install) -> None:
        absent = storage.workspace_name(project_id=uuid4(), sha="a" * 40)

        with pytest.raises(storage.BundleMissing):
            local.target.begin(install(bundle_name=absent))

        assert local.target.inspect("install-1") is None

    def test_damaged_bundle_is_unavailable(self, local, install) -> None:
        with pytest.raises(base.TargetUnavailable):
            local.target.begin(install(bundle_sha256="0" * 64))

    def test_signal_shows_as_a_negative_exit_code(self, local, install) -> None:
        local.target.begin(install("kill -9 $$"))

        assert ended(local.target, "install-1").exit_code == -9

    def test_logs_are_read_from_their_end(self, local, install) -> None:
        local.target.begin(install("echo first; echo second; exit 4"))
        ended(local.target, "install-1")

        assert local.target.logs("install-1", tail_bytes=7) == "second\n"

    def test_files_nobody_may_write_and_deep_trees_are_discarded(self, local, install, place) -> None:
        deep = "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d; i=$((i+1)); done; chmod 0 ."
        local.target.begin(install(deep))
        ended(local.target, "install-1")
        local.target.end("install-1")

        local.target.discard(install().release)

        assert not (place / "releases" / "release-1").exists()

    def test_installation_sees_no_secret_of_ours(self, local, install) -> None:
        local.target.begin(install("env"))
        ended(local.target, "install-1")

        log = local.target.logs("install-1", tail_bytes=100_000)

        assert "SECRET_KEY" not in log
        assert os.environ["SECRET_KEY"] not in log


class TestServer:
    """What only the target over SSH promises."""

    @pytest.fixture
    def far(self, host: SshServer, place: Path) -> Iterator[ServerStage]:
        stage = ServerStage(host, place / "home")
        yield stage
        for name in stage.target.list_jobs():
            stage.target.end(name)

    def test_job_outlives_the_connection_and_whoever_began_it(self, far, install) -> None:
        far.target.begin(install("sleep 60"))

        for connection in list(far.server.connections):
            connection.abort()
        state = ServerTarget(access_to(far.server)).inspect("install-1")

        assert state is not None
        assert state.phase is base.JobPhase.RUNNING

    def test_killed_keeper_leaves_the_job_running_and_then_nobody_knows(self, far, install) -> None:
        far.target.begin(install("sleep 1"))
        directory = far.home / ".codegen" / "jobs" / "install-1"
        wait_for(lambda: len(marked(directory)) > 1)

        os.kill(min(marked(directory)), 9)
        during = far.target.inspect("install-1")

        assert during is not None
        assert during.phase is base.JobPhase.RUNNING
        assert ended(far.target, "install-1").phase is base.JobPhase.LOST

    def test_job_that_takes_too_long_is_ended_with_all_that_it_began(self, far, install) -> None:
        far.target.begin(install("sleep 60 & sleep 60", timeout_seconds=0.5))

        state = ended(far.target, "install-1")

        assert state.exit_code is not None
        assert state.exit_code < 0
        assert not marked(far.home / ".codegen" / "jobs" / "install-1")

    def test_secrets_are_on_no_command_line_and_in_no_file(self, far, install, service) -> None:
        installed(far, install())

        far.target.begin(service("sleep 60", port=1024, environment={"TOKEN": "sesame-open"}))

        files = [path for path in (far.home / ".codegen").rglob("*") if path.is_file()]
        assert not [path for path in files if b"sesame-open" in path.read_bytes()]
        assert "sesame-open" not in " ".join(far.server.commands)

    def test_files_that_arrived_otherwise_than_sent_begin_nothing(self, far, install) -> None:
        with pytest.raises(base.TargetUnavailable):
            far.target.begin(install(bundle_sha256="0" * 64))

        assert far.target.inspect("install-1") is None

    def test_another_host_key_is_told_nothing(self, far) -> None:
        stranger = ServerTarget(access_to(far.server, host_key=public_part(make_key())))
        before = len(far.server.commands)

        with pytest.raises(base.TargetUnavailable) as refusal:
            stranger.list_jobs()

        assert refusal.value.error_code == "server_refuses"
        assert len(far.server.commands) == before

    def test_server_that_is_away_is_unavailable(self, far) -> None:
        gone = replace(access_to(far.server), port=free_port())

        with pytest.raises(base.TargetUnavailable) as refusal:
            ServerTarget(gone).list_jobs()

        assert refusal.value.error_code == "server_unreachable"

    def test_words_of_a_strange_server_are_no_state(self, far, place) -> None:
        far.target.list_jobs()
        (program,) = (far.home / ".codegen").glob("on_server-*.py")
        program.write_text('import sys; sys.stdout.write(\'{"phase": "dancing"}\')')

        with pytest.raises(base.TargetUnavailable):
            far.target.inspect("install-1")

        program.unlink()

    def test_log_keeps_its_end_within_bounds(self, far, install) -> None:
        far.target.begin(install("yes | head -c 3000000; echo end"))
        ended(far.target, "install-1")

        log = far.home / ".codegen" / "jobs" / "install-1" / "log"

        assert log.stat().st_size < 1_000_000
        assert far.target.logs("install-1", tail_bytes=4) == "end\n"


class TestFake:
    """What tests may rely on."""

    def test_target_that_is_down_answers_nothing(self) -> None:
        fake = FakeTarget(is_down=True)

        for verb in (lambda: fake.inspect("x"), fake.list_jobs, lambda: fake.end("x")):
            with pytest.raises(base.TargetUnavailable):
                verb()

    def test_service_without_an_installation_fails_the_test(self, service) -> None:
        with pytest.raises(ForbiddenCall):
            FakeTarget().begin(service("serve", port=free_port()))

    def test_lost_answer_leaves_the_work_done(self, install) -> None:
        fake = FakeTarget(fails_after={"begin"})

        with pytest.raises(base.TargetUnavailable):
            fake.begin(install())

        assert fake.begun == ["install-1"]
