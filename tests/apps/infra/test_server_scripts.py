"""The shell of releases on a server, run here with a stand-in for Docker: what stays, what comes back."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import pytest

from apps.failures import FailureKind
from apps.infra import server_releases, settling
from apps.infra.models import Server, ServiceDeployment
from apps.infra.targets.base import Job
from apps.projects import templating
from apps.projects.templating import TemplateAnswers
from tests.factories import make_sha
from tests.template import fake_docker

pytestmark = [pytest.mark.integration]

SLUG = "books"


class Machine:
    """A server with one project on it, and a Docker that only remembers."""

    def __init__(self, place: Path) -> None:
        self.tools, self.root, self.memory = place / "tools", place / "root", place / "memory"
        for directory in (self.tools, self.memory):
            directory.mkdir()
        shutil.copy(str(fake_docker.__file__), self.tools / "docker")
        (self.tools / "docker").chmod(0o755)
        self.source = place / "source"
        answers = TemplateAnswers(
            project_name="Books", project_slug=SLUG, project_description="", modules=("telegram",)
        )
        templating.render(self.source, answers=answers)
        self.log = ""

    def run(self, job: Job) -> int:
        prefix = "set -eu; " if job.bundle_name else "exec "
        environment = {
            "PATH": f"{self.tools}:/usr/local/bin:/usr/bin:/bin",
            "FAKE_DOCKER": str(self.memory),
            "DEPLOY_ROOT": str(self.root),
            "DEPLOY_HEALTH_SECONDS": "1",
            "DEPLOY_SETTLE_SECONDS": "0",
            **job.environment,
        }
        done = subprocess.run(
            ["/bin/sh", "-c", prefix + job.command],
            cwd=self.source,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self.log = done.stdout
        return done.returncode

    def install(self, row: ServiceDeployment) -> int:
        return self.run(server_releases.install_job(row, ports={}))

    def release(self, row: ServiceDeployment) -> int:
        assert self.install(row) == 0, self.log
        return self.run(server_releases.activation_job(row))

    @property
    def runs_with(self) -> str:
        return (self.memory / "values").read_text()

    def kept(self) -> str:
        """Everything that is to be read below the project's directory."""
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]
        return "".join(path.read_text(errors="replace") for path in files)


@pytest.fixture
def machine() -> Iterator[Machine]:
    place = Path(mkdtemp(dir="/tmp", prefix="scripts-"))
    yield Machine(place)
    shutil.rmtree(place, ignore_errors=True)


def make_row(token: str, *, sha: str = "") -> ServiceDeployment:
    return ServiceDeployment(
        pk=uuid4(),
        server=Server(host="127.0.0.1"),
        project_slug=SLUG,
        commit_sha=sha or make_sha(),
        bundle_name="x.bundle",
        installs=1,
        environment=json.dumps({"variables": {"TELEGRAM_BOT_TOKEN": token}, "secrets": [token]}),
    )


def started(row: ServiceDeployment) -> ServiceDeployment:
    row.starts = 1
    return row


def test_undoing_a_release_of_the_same_commit_brings_its_old_values_back(machine: Machine) -> None:
    before = make_row("1:old-token")
    again = make_row("2:new-token", sha=before.commit_sha)
    assert machine.release(before) == 0
    assert machine.release(again) == 0
    assert "2:new-token" in machine.runs_with

    code = machine.run(server_releases.undo_job(again, before=before.commit_sha))

    assert code == 0, machine.log
    assert "1:old-token" in machine.runs_with
    assert "2:new-token" not in machine.kept()


def test_release_that_was_built_but_never_begun_is_undone_just_so(machine: Machine) -> None:
    before = make_row("1:old-token")
    again = make_row("2:new-token", sha=before.commit_sha)
    machine.release(before)
    machine.install(again)

    code = machine.run(server_releases.undo_job(again, before=before.commit_sha))

    assert code == 0, machine.log
    assert "1:old-token" in machine.runs_with
    assert "2:new-token" not in machine.kept()


def test_undoing_twice_does_not_go_back_further(machine: Machine) -> None:
    before = make_row("1:old-token")
    again = make_row("2:new-token", sha=before.commit_sha)
    machine.release(before)
    machine.release(again)

    codes = [machine.run(server_releases.undo_job(again, before=before.commit_sha)) for _ in range(2)]

    assert codes == [0, 0]
    assert "1:old-token" in machine.runs_with


def test_values_of_before_go_once_the_new_ones_have_proven_themselves(machine: Machine) -> None:
    before = started(make_row("1:old-token"))
    machine.release(before)
    machine.release(make_row("2:new-token", sha=before.commit_sha))

    code = machine.run(server_releases.forget_job(before))

    assert code == 0, machine.log
    assert "1:old-token" not in machine.kept()
    assert "2:new-token" in machine.kept()


def test_unhealthy_release_is_told_as_such_after_any_amount_of_talk(machine: Machine) -> None:
    machine.release(make_row("1:old-token"))
    ill = make_row("1:old-token")
    (machine.memory / "broken").write_text(ill.commit_sha)
    (machine.memory / "talks").touch()

    code = machine.release(ill)

    assert len(machine.log) > 40_000
    said = server_releases.activation_problem(code, machine.log[-settling.LOG_BYTES :])
    assert said[0] == "not_healthy"
    assert said[2] is FailureKind.PRODUCT


def test_server_without_docker_says_so_before_anything_is_built(machine: Machine) -> None:
    (machine.tools / "docker").write_text("#!/bin/sh\nexit 1\n")

    code = machine.install(make_row("2:new-token"))

    assert code == 69
    assert not machine.root.exists()


def test_failed_build_leaves_no_values(machine: Machine) -> None:
    (machine.source / "deploy" / "build.sh").write_text("exit 1\n")

    code = machine.install(make_row("2:new-token"))

    assert code == 66
    assert "2:new-token" not in machine.kept()


def test_build_cannot_read_the_values_in_the_processes_above_it(machine: Machine) -> None:
    look = "cat /proc/$$/environ /proc/$PPID/environ >{0}/seen\ncut -d ' ' -f 4 /proc/$PPID/stat >{0}/above\n"
    script = look.format(machine.memory) + "exit 1\n"
    (machine.source / "deploy" / "build.sh").write_text(script)

    machine.install(make_row("2:new-token"))

    seen = (machine.memory / "seen").read_text()
    assert "DEPLOY_ROOT" in seen
    assert "2:new-token" not in seen
    assert int((machine.memory / "above").read_text()) == os.getpid()


@pytest.mark.parametrize("is_built", [False, True])
def test_build_that_was_cut_off_or_came_too_late_is_forgotten(machine: Machine, is_built: bool) -> None:
    before = make_row("1:old-token")
    machine.release(before)
    late = make_row("2:new-token", sha=before.commit_sha)
    if is_built:
        machine.install(late)
    else:
        left = machine.root / SLUG / "releases" / f".{late.commit_sha}"
        left.mkdir()
        (left / ".env").write_text("2:new-token")

    code = machine.run(server_releases.forget_job(late))

    assert code == 0, machine.log
    assert "2:new-token" not in machine.kept()
    assert (machine.root / SLUG / "current" / "activate.sh").is_file()
