"""`make down` while a worker works: nothing of what it made is lost."""

import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from apps.workers.runtime.docker import DockerRuntime
from orchestrator.env import ROOT
from orchestrator.installation import bridge_name
from orchestrator.stack.prepare import run_module
from tests.journeys.world import World, eventually, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

#: A turn that is still under way when the system stops.
PATIENT = {"WORKERS_TURN_TIMEOUT_SECONDS": "300"}


def _hanging_worker(world: World, task_id: str) -> str:
    """Return the worker that does nothing any more, in a checkout that is ready; empty until there is one."""
    query = """
        SELECT e.worker_id FROM workers_workerevent e JOIN workers_worker w ON w.id = e.worker_id
        WHERE w.task_id = %s AND e.kind = 'progress' AND e.body ->> 'current_step' = 'hang'"""
    found = world.rows(query, task_id)
    return str(found[0][0]) if found else ""


def _git(checkout: Path, *words: str) -> str:
    """Run git as the worker would."""
    owner = checkout.stat()
    argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *words]
    environment = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(
        argv,
        cwd=checkout,
        env=environment,
        user=owner.st_uid,
        group=owner.st_gid,
        extra_groups=[],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def _restore(world: World, worker_id: str, directory: Path) -> str:
    stack = world.stack
    stack.embedded.start()
    try:
        arguments = ("restore_workspace", worker_id, "--to", str(directory))
        return run_module("manage", *arguments, env=stack.child_env(), root=ROOT)
    finally:
        stack.embedded.stop()


def test_a_stop_keeps_the_commit_and_the_edits_of_a_running_worker() -> None:
    with running(settings=PATIENT) as world, tempfile.TemporaryDirectory(dir="/tmp") as place:
        task = world.begin("an inventory of books with title\nrehearsal: hang")
        assert eventually(lambda: bool(_hanging_worker(world, task["id"])), seconds=150), world.logs()
        worker_id = _hanging_worker(world, task["id"])
        checkout = world.stack.var_dir / "units" / "units" / f"worker-{worker_id}" / "work"
        (checkout / "last.py").write_text("commit = 1\n")
        _git(checkout, "add", "last.py")
        _git(checkout, "commit", "--quiet", "-m", "Last")
        head = _git(checkout, "rev-parse", "HEAD")
        (checkout / "half.py").write_text("edit = 1\n")

        began = time.monotonic()
        world.stack.stop()
        seconds = time.monotonic() - began
        printed = _restore(world, worker_id, restored := Path(place) / "restored")

        assert f"at {head[:12]} into" in printed
        assert "were not saved" not in printed
        assert (restored / "last.py").read_text() == "commit = 1\n"
        assert (restored / "half.py").read_text() == "edit = 1\n"
        assert seconds < 120


@pytest.mark.docker
def test_a_stop_keeps_the_commit_and_the_edits_of_a_running_container() -> None:
    script = """
        set -e; export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.invalid
        export GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.invalid
        echo commit > last.py; git add last.py; git commit --quiet -m Last
        echo edit > half.py; git rev-parse HEAD"""
    settings = {**PATIENT, "WORKERS_RUNTIME": "docker"}
    with running(settings=settings) as world, tempfile.TemporaryDirectory(dir="/tmp") as place:
        task = world.begin("an inventory of books with title\nrehearsal: hang")
        assert eventually(lambda: bool(_hanging_worker(world, task["id"])), seconds=300), world.logs()
        worker_id = _hanging_worker(world, task["id"])
        chosen = world.stack.runtime
        assert chosen is not None
        docker = DockerRuntime(installation=chosen.installation, interface=bridge_name(chosen.installation))
        made = docker.exec(f"worker-{worker_id}", ("sh", "-c", script))
        docker.connection.client().close()
        assert made.exit_code == 0, made

        world.stack.stop()
        printed = _restore(world, worker_id, restored := Path(place) / "restored")

        assert f"at {made.output.strip()[-40:][:12]} into" in printed
        assert "were not saved" not in printed
        assert (restored / "last.py").read_text() == "commit\n"
        assert (restored / "half.py").read_text() == "edit\n"
