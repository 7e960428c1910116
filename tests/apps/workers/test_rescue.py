"""What a worker made is stored before its container goes, or its loss is written down."""

import errno
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps import storage
from apps.workers import rescue, rescue_commits
from apps.workers.composition import Hands, container_spec
from apps.workers.models import Snapshot, Turn, TurnStatus, Worker, WorkerStatus
from apps.workers.runtime.base import ContainerSpec, Network
from tests import docker_engine
from tests.apps.workers.conftest import MakeWorker, settle, step
from tests.factories import make_turn
from tests.fakes_runtime import FakeRuntime
from tests.runtime_stages import wait_for
from worker_image.contract import SAVED_NOTE

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Checkout:
    """A worker's container whose files are those of a real repository."""

    def __init__(self, directory: Path, worker: Worker, runtime: FakeRuntime) -> None:
        self.directory, self.worker, self._runtime = directory, worker, runtime

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments]
        done = subprocess.run(command, cwd=self.directory, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, name: str) -> str:
        (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / name).write_text(f"{name}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", f"Add {name}")
        return self.git("rev-parse", "HEAD")

    def publish(self) -> None:
        """Let the container have the repository as it is now."""
        for path in (self.directory / ".git").rglob("*"):
            if path.is_file():
                name = str(path.relative_to(self.directory))
                self._runtime.write(self.worker.container_name, name, path.read_bytes())

    def note(self, **words: Any) -> None:
        """Write what the wrapper notes of its looks."""
        text = ", ".join(f'"{name}": {value}' for name, value in words.items())
        self._runtime.write(self.worker.container_name, SAVED_NOTE, f"{{{text}}}".encode())

    def snapshot(self, head: str, **fields: Any) -> Snapshot:
        return Snapshot.objects.create(
            worker=self.worker,
            reason="periodic",
            branch=self.worker.branch,
            base_sha=self.worker.base_sha,
            head_sha=head,
            name=f"snapshots/{self.worker.pk}/{head:0>64}.bundle",
            sha256=f"{head:0>64}",
            size_bytes=1,
            **fields,
        )


@pytest.fixture
def checkout(running: MakeWorker, runtime: FakeRuntime) -> Iterator[Checkout]:
    """A worker in the middle of its first turn."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name) / "workspace"
        directory.mkdir()
        made = Checkout(directory, Worker(), runtime)
        made.git("init", "--quiet", "--initial-branch=main")
        base = made.commit("README.md")
        bundle = Path(name) / "base.bundle"
        made.git("bundle", "create", "--quiet", str(bundle), "main")
        stored = storage.save_bundle(bundle, name=storage.workspace_name(project_id=uuid4(), sha=base))
        made.git("checkout", "--quiet", "-b", "task/1-1")
        made.worker = running(
            workspace_name=stored.name,
            workspace_sha256=stored.sha256,
            base_sha=base,
            branch="task/1-1",
            started_at=timezone.now() - timedelta(minutes=1),
        )
        make_turn(worker=made.worker, status=TurnStatus.RUNNING)
        yield made


def files_of(snapshot: Snapshot, base_name: str) -> set[str]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        subprocess.run(["git", "init", "--quiet", "--bare", name], check=True)
        for source, ref in ((base_name, "main"), (snapshot.name, snapshot.branch)):
            path = Path(name) / "given.bundle"
            with storage.open_bundle(source) as bundle:
                path.write_bytes(bundle.read())
            fetch = ["git", "-C", name, "fetch", "--quiet", str(path), f"+refs/heads/{ref}:refs/heads/{ref}"]
            subprocess.run(fetch, check=True, capture_output=True)
        listing = ["git", "-C", name, "ls-tree", "-r", "--name-only", snapshot.branch]
        return set(subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split())


def test_commit_that_was_never_uploaded_is_taken_out_of_the_dead_container(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    worker = checkout.worker
    checkout.commit("src/books.py")
    head = checkout.commit("src/deep/er/books.py")
    checkout.publish()
    runtime.finish(worker.container_name, 137)

    settle(worker, hands)

    snapshot = Snapshot.objects.get(worker=worker)
    assert (snapshot.reason, snapshot.head_sha) == ("rescue", head)
    assert files_of(snapshot, worker.workspace_name) == {
        "README.md",
        "src/books.py",
        "src/deep/er/books.py",
    }
    assert (worker.status, runtime.inspect(worker.container_name)) == (WorkerStatus.CRASHED, None)


def test_commit_that_is_stored_is_not_taken_again(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    checkout.snapshot(checkout.commit("a.py"))
    checkout.publish()
    runtime.finish(checkout.worker.container_name, 137)

    settle(checkout.worker, hands)

    assert Snapshot.objects.count() == 1


def test_branch_among_the_packed_references_is_found(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    head = checkout.commit("a.py")
    checkout.git("pack-refs", "--all")
    checkout.publish()
    runtime.finish(checkout.worker.container_name, 1)

    settle(checkout.worker, hands)

    assert Snapshot.objects.get().head_sha == head


def test_edits_after_the_last_look_are_said_to_be_lost(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    saved_at = timezone.now() - timedelta(seconds=12)
    checkout.publish()
    checkout.note(saved_at=f'"{saved_at.isoformat()}"', is_saved="true", is_final="false")
    runtime.finish(checkout.worker.container_name, 137)

    settle(checkout.worker, hands)

    assert checkout.worker.work_lost_since == saved_at


def test_nothing_is_lost_of_a_worker_that_stopped_in_order(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    checkout.publish()
    checkout.note(saved_at='"2026-01-01T00:00:00+00:00"', is_saved="true", is_final="true")
    runtime.finish(checkout.worker.container_name, 0)

    settle(checkout.worker, hands)

    assert checkout.worker.work_lost_since is None


def test_turn_that_was_cut_off_without_a_last_look_has_lost_edits(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    saved_at = timezone.now() - timedelta(seconds=12)
    checkout.publish()
    checkout.note(saved_at=f'"{saved_at.isoformat()}"', is_saved="true", is_final="false")
    Turn.objects.filter(worker=checkout.worker).update(status=TurnStatus.CRASHED)
    runtime.finish(checkout.worker.container_name, 0)

    settle(checkout.worker, hands)

    assert checkout.worker.work_lost_since == saved_at


def test_rescue_that_takes_too_long_is_tried_again(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = checkout.commit("a.py")
    checkout.publish()
    runtime.finish(checkout.worker.container_name, 137)
    with monkeypatch.context() as patched:
        patched.setattr(rescue_commits, "MAX_SECONDS", -1.0)
        settle(checkout.worker, hands)
    kept = runtime.inspect(checkout.worker.container_name)

    settle(checkout.worker, hands)

    assert kept is not None
    assert Snapshot.objects.get().head_sha == head


def test_worker_that_never_had_a_checkout_has_nothing_to_lose(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    runtime.finish(checkout.worker.container_name, 1)

    settle(checkout.worker, hands)

    assert (checkout.worker.work_lost_since, Snapshot.objects.count()) == (None, 0)


def test_container_that_vanished_has_lost_what_came_after_the_last_snapshot(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime
) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    Worker.objects.filter(pk=checkout.worker.pk).update(started_at=long_ago)
    snapshot = checkout.snapshot(checkout.commit("a.py"))
    runtime.vanish(checkout.worker.container_name)

    settle(checkout.worker, hands)

    # What is in it was seen before it was stored.
    looked_at = snapshot.created_at - timedelta(seconds=rescue.LOOK_SECONDS)
    assert checkout.worker.work_lost_since == looked_at
    assert checkout.worker.status == WorkerStatus.CRASHED


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let the storage have no room, until told otherwise."""
    save, state = storage.save_bundle, {"full": True}

    def refuse(path: Path, *, name: str) -> storage.StoredBundle:
        if state["full"]:
            raise storage.DiskFull from OSError(errno.ENOSPC, "full")
        return save(path, name=name)

    monkeypatch.setattr(storage, "save_bundle", refuse)
    return lambda full: state.update(full=full)


def test_container_waits_until_its_work_can_be_stored(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime, full_disk: Callable[[bool], None]
) -> None:
    head = checkout.commit("a.py")
    checkout.publish()
    runtime.finish(checkout.worker.container_name, 137)
    settle(checkout.worker, hands)
    kept = runtime.inspect(checkout.worker.container_name)

    full_disk(False)
    settle(checkout.worker, hands)

    assert kept is not None
    assert Snapshot.objects.get().head_sha == head
    assert runtime.inspect(checkout.worker.container_name) is None


def test_container_does_not_wait_for_ever(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime, full_disk: Callable[[bool], None]
) -> None:
    checkout.commit("a.py")
    checkout.publish()
    runtime.finish(checkout.worker.container_name, 137)
    step(checkout.worker, hands)
    long_ago = timezone.now() - timedelta(seconds=rescue.PATIENCE_SECONDS + 1)
    Worker.objects.filter(pk=checkout.worker.pk).update(ended_at=long_ago)

    settle(checkout.worker, hands)

    assert checkout.worker.status == WorkerStatus.CRASHED
    assert isinstance(checkout.worker.work_lost_since, datetime)


def test_object_that_is_not_what_its_name_says_is_refused(checkout: Checkout, runtime: FakeRuntime) -> None:
    head = checkout.commit("a.py")
    checkout.publish()
    blob = checkout.git("rev-parse", "HEAD:a.py")
    other = checkout.git("rev-parse", "HEAD:README.md")
    forged = (checkout.directory / ".git" / "objects" / other[:2] / other[2:]).read_bytes()
    runtime.write(checkout.worker.container_name, f".git/objects/{blob[:2]}/{blob[2:]}", forged)

    with pytest.raises(rescue_commits.CommitsUnreachable):
        rescue_commits.store(checkout.worker, head, runtime)

    assert Snapshot.objects.count() == 0


@pytest.mark.parametrize("content", [b"not zlib", b""])
def test_damaged_object_ends_the_rescue_and_not_the_worker(
    checkout: Checkout, hands: Hands, runtime: FakeRuntime, content: bytes
) -> None:
    head = checkout.commit("a.py")
    checkout.publish()
    runtime.write(checkout.worker.container_name, f".git/objects/{head[:2]}/{head[2:]}", content)
    runtime.finish(checkout.worker.container_name, 137)

    settle(checkout.worker, hands)

    assert checkout.worker.status == WorkerStatus.CRASHED
    assert checkout.worker.work_lost_since is not None


def test_what_the_base_has_is_not_counted(
    checkout: Checkout, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue_commits, "MAX_OBJECTS", 3)
    head = checkout.commit("a.py")
    checkout.publish()

    snapshot = rescue_commits.store(checkout.worker, head, runtime)

    assert snapshot.head_sha == head


def test_too_many_objects_are_not_taken(
    checkout: Checkout, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue_commits, "MAX_OBJECTS", 3)
    head = [checkout.commit(f"{number}.py") for number in range(4)][-1]
    checkout.publish()

    with pytest.raises(rescue_commits.CommitsUnreachable):
        rescue_commits.store(checkout.worker, head, runtime)


def test_worker_whose_files_take_too_much_is_stopped(
    running: MakeWorker, hands: Hands, runtime: FakeRuntime, settings: Any
) -> None:
    settings.WORKERS_DISK_MB = 100
    modest = running(heartbeat={"workspace_bytes": 90 * 2**20})
    greedy = running(heartbeat={"workspace_bytes": 101 * 2**20})

    settle(modest, hands)
    settle(greedy, hands)

    assert modest.status == WorkerStatus.RUNNING
    assert greedy.failure is not None
    assert (greedy.status, greedy.failure["code"]) == (WorkerStatus.FAILED, "disk_full")
    assert container_spec(greedy).name not in {state.name for state in runtime.list_owned()}


@pytest.mark.docker
def test_commit_is_taken_out_of_a_real_container_that_was_killed(checkout: Checkout, hands: Hands) -> None:
    heads = [checkout.commit(f"src/part{number}/module.py") for number in range(10)]
    archive = checkout.directory.parent / "repository.tar"
    subprocess.run(["tar", "-C", str(checkout.directory), "-cf", str(archive), "."], check=True)
    worker = checkout.worker
    with docker_engine.installation() as engine:
        engine.start(
            ContainerSpec(
                name=worker.container_name,
                command=("sh", "-c", "tar -xf $INPUT_DIR/repository.tar && touch done && exec sleep 600"),
                inputs={"repository.tar": archive},
                network=Network.NONE,
                deadline_seconds=600,
                own_init=True,
            )
        )
        wait_for(lambda: engine.exec(worker.container_name, ("test", "-e", "done")).exit_code == 0)
        state = engine.inspect(worker.container_name)
        subprocess.run(["docker", "kill", worker.container_name], check=True, capture_output=True)

        began = time.monotonic()
        may_go = rescue.secure(worker, state, replace(hands, runtime=engine), timezone.now())
        seconds = time.monotonic() - began
        engine.remove(worker.container_name)

    snapshot = Snapshot.objects.get(worker=worker)
    assert may_go
    assert snapshot.head_sha == heads[-1]
    assert files_of(snapshot, worker.workspace_name) >= {"src/part9/module.py", "src/part0/module.py"}
    assert seconds < 20
