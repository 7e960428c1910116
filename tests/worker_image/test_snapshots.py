"""Snapshots: complete, bounded, and invisible to the agent's own repository."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from worker_image import snapshots as module
from worker_image.contract import DIRTY_REF, SAVED_NOTE, SnapshotReason
from worker_image.snapshots import SnapshotRefused, Snapshots, TurnRefs
from worker_image.transfer import ApiClient
from worker_image.workspace import Workspace, WorkspaceUnavailable

pytestmark = pytest.mark.service


class Checkout:
    """A prepared workspace with its snapshots, and git as the agent uses it."""

    def __init__(self, directory: Path, api: ApiClient) -> None:
        self.directory = directory / "workspace"
        self.state = directory / "state"
        self.workspace = Workspace(self.directory, self.state, api)
        self.snapshots = Snapshots(self.workspace, self.state, api)
        self.refs = TurnRefs(request_id="turn-1", branch="task/1", base_sha="")

    async def prepare(self) -> None:
        base_sha = await self.workspace.prepare(branch="task/1", base_sha=None)
        self.refs = TurnRefs(request_id="turn-1", branch="task/1", base_sha=base_sha)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.directory, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    async def upload(self) -> bool:
        return await self.snapshots.upload_changes(self.refs, SnapshotReason.PERIODIC)


@pytest.fixture
async def checkout(scratch: Path, plane: Any) -> AsyncIterator[Checkout]:
    async with ApiClient(plane.url, plane.token) as api:
        checkout = Checkout(scratch, api)
        await checkout.prepare()
        yield checkout


def _unpack(base: bytes, bundle: Path, scratch: Path) -> Path:
    clone = scratch / f"clone-{bundle.stem}"
    (scratch / "given.bundle").write_bytes(base)
    commands = [
        ["init", "-q", str(clone)],
        ["-C", str(clone), "fetch", "-q", str(scratch / "given.bundle"), "main"],
    ]
    commands.append(["-C", str(clone), "fetch", "-q", str(bundle), f"{DIRTY_REF}:refs/heads/dirty"])
    for command in commands:
        subprocess.run(["git", *command], check=True, capture_output=True)
    return clone


async def test_unchanged_checkout_uploads_nothing(checkout: Checkout, plane: Any) -> None:
    assert not await checkout.upload()
    assert plane.uploads == []


async def test_uncommitted_work_is_carried_without_touching_index_or_branch(
    checkout: Checkout, plane: Any, scratch: Path
) -> None:
    (checkout.directory / "README.md").write_text("# Changed\n")
    (checkout.directory / "new.py").write_text("x = 1\n")
    before = (checkout.git("status", "--porcelain"), checkout.git("for-each-ref"))

    assert await checkout.upload()

    after = (checkout.git("status", "--porcelain"), checkout.git("for-each-ref"))
    clone = _unpack(plane.bundle, plane.uploads[0].path, scratch)
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "dirty"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    assert before == after
    assert listing.stdout.split() == ["README.md", "new.py"]


async def _until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_snapshot_is_sent_while_files_change_and_none_when_nothing_does(
    checkout: Checkout, plane: Any, scratch: Path
) -> None:
    note = checkout.directory / SAVED_NOTE
    periodic = asyncio.create_task(checkout.snapshots.run_periodically(checkout.refs, period_seconds=0.05))
    try:
        await _until(note.exists)
        assert plane.uploads == []

        for count in (1, 2):
            (checkout.directory / "new.py").write_text(f"x = {count}\n")
            await _until(lambda wanted=count: len(plane.uploads) == wanted)

        looked_at = note.read_text()
        await _until(lambda: note.read_text() != looked_at)
        looked_at = note.read_text()
        await _until(lambda: note.read_text() != looked_at)
    finally:
        periodic.cancel()

    assert [upload.reason for upload in plane.uploads] == ["periodic", "periodic"]
    clone = _unpack(plane.bundle, plane.uploads[1].path, scratch)
    show = ["git", "-C", str(clone), "show", "dirty:new.py"]
    assert subprocess.run(show, check=True, capture_output=True, text=True).stdout == "x = 2\n"


def test_a_death_costs_no_more_than_30_seconds_of_edits() -> None:
    assert module.PERIOD_SECONDS + module.DEADLINES[SnapshotReason.PERIODIC] <= 30


async def test_same_state_is_uploaded_once(checkout: Checkout, plane: Any) -> None:
    (checkout.directory / "new.py").write_text("x = 1\n")

    first, second = await checkout.upload(), await checkout.upload()

    assert (first, second) == (True, False)
    assert len(plane.uploads) == 1


async def test_failed_upload_is_tried_again_next_time(checkout: Checkout, plane: Any) -> None:
    (checkout.directory / "new.py").write_text("x = 1\n")
    plane.upload_status = 413
    first = await checkout.upload()
    plane.upload_status = None

    assert (first, await checkout.upload()) == (False, True)


async def test_agents_filters_and_hooks_do_not_run(checkout: Checkout, scratch: Path) -> None:
    trap = scratch / "trap"
    checkout.git("config", "filter.evil.clean", f"touch {trap}")
    (checkout.directory / ".gitattributes").write_text("* filter=evil\n")
    (checkout.directory / "new.py").write_text("x = 1\n")

    assert await checkout.upload()
    assert not trap.exists()


async def test_too_much_uncommitted_work_is_left_out_and_commits_are_not(
    checkout: Checkout, plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DIRTY_BYTES", 100)
    checkout.git("commit", "-q", "--allow-empty", "-m", "Small")
    (checkout.directory / "big.bin").write_bytes(b"x" * 1_000)

    assert await checkout.upload()

    heads = subprocess.run(
        ["git", "bundle", "list-heads", plane.uploads[0].path], capture_output=True, text=True, check=True
    )
    assert heads.stdout.split()[1::2] == ["refs/heads/task/1"]


async def test_unreadable_corners_do_not_cost_the_rest(checkout: Checkout) -> None:
    (checkout.directory / "nested").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=checkout.directory / "nested", check=True)
    (checkout.directory / "dangling").symlink_to("/nowhere")
    (checkout.directory / "new\nline.py").write_text("x")

    assert await checkout.upload()


async def test_branch_whose_commit_is_missing_shows_no_commit(checkout: Checkout) -> None:
    checkout.git("commit", "-q", "--allow-empty", "-m", "One")
    head = checkout.git("rev-parse", "HEAD")
    (checkout.directory / ".git" / "objects" / head[:2] / head[2:]).unlink()
    (checkout.directory / ".git" / "refs" / "heads" / "task" / "1").write_text(f"{head}\n")

    observed = await checkout.workspace.observe(branch="task/1", base_sha=checkout.refs.base_sha)

    assert observed.commit_sha is None


async def test_bundle_over_the_limit_is_refused(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker_image.contract.MAX_BUNDLE_BYTES", 10)
    checkout.git("commit", "-q", "--allow-empty", "-m", "One")

    with pytest.raises(SnapshotRefused, match="larger"):
        await checkout.snapshots.upload_result(checkout.refs)


async def test_files_that_were_there_before_stay_out_of_commits(scratch: Path, plane: Any) -> None:
    directory = scratch / "prepared"
    directory.mkdir()
    (directory / "CLAUDE.md").write_text("Instructions")
    async with ApiClient(plane.url, plane.token) as api:
        await Workspace(directory, scratch / "state", api).prepare(branch="task/1", base_sha=None)

    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=directory, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
    assert (directory / "CLAUDE.md").exists()


async def test_half_made_checkout_is_made_again(scratch: Path, plane: Any) -> None:
    directory = scratch / "workspace"
    (directory / ".git").mkdir(parents=True)
    async with ApiClient(plane.url, plane.token) as api:
        base_sha = await Workspace(directory, scratch / "state", api).prepare(branch="task/1", base_sha=None)

    assert base_sha == plane.base_sha
    assert (directory / "README.md").exists()


@pytest.mark.parametrize("fault", ["token", "base", "garbage"])
async def test_workspace_that_cannot_be_made_says_why(scratch: Path, plane: Any, fault: str) -> None:
    token = "wrong" if fault == "token" else plane.token
    wanted = "f" * 40 if fault == "base" else None
    if fault == "garbage":
        plane.bundle = b"# v2 git bundle\nnonsense"
    async with ApiClient(plane.url, token) as api:
        workspace = Workspace(scratch / "workspace", scratch / "state", api)
        with pytest.raises(WorkspaceUnavailable) as raised:
            await workspace.prepare(branch="task/1", base_sha=wanted)

    assert token not in str(raised.value)
