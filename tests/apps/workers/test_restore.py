"""What was stored of a worker becomes a checkout again, or a file to take away."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps import storage
from apps.roles import Role
from apps.workers import restore, snapshot_reading
from apps.workers.models import Snapshot, Worker
from tests.factories import make_user, make_worker
from worker_image.contract import DIRTY_REF

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Workspace:
    """A worker, its repository, and the snapshots that it uploaded."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._scratch = directory / "workspace", directory
        self.directory.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        base = self.commit("README.md", "# Base\n")
        path = self._bundle("main")
        stored = storage.save_bundle(path, name=storage.workspace_name(project_id=uuid4(), sha=base))
        self.git("checkout", "--quiet", "-b", "task/1-1")
        self.worker: Worker = make_worker(
            workspace_name=stored.name, workspace_sha256=stored.sha256, base_sha=base, branch="task/1-1"
        )

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *arguments]
        done = subprocess.run(command, cwd=self.directory, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", f"Change {name}")
        return self.git("rev-parse", "HEAD")

    def snapshot(self, *refs: str, reason: str = "periodic") -> Snapshot:
        return self.store(self._bundle(*refs, f"^{self.worker.base_sha}"), reason=reason)

    def store(self, path: Path, *, reason: str = "periodic") -> Snapshot:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        name = storage.snapshot_name(worker_id=self.worker.pk, sha256=sha256)
        stored = storage.save_bundle(path, name=name)
        return Snapshot.objects.create(
            worker=self.worker,
            reason=reason,
            branch="task/1-1",
            base_sha=self.worker.base_sha,
            head_sha=self.git("rev-parse", "HEAD"),
            name=name,
            sha256=sha256,
            size_bytes=stored.size,
        )

    def dirty(self) -> None:
        """Commit what is uncommitted beside the branch, as a wrapper does."""
        self.git("add", "--all")
        tree = self.git("write-tree")
        commit = self.git("commit-tree", tree, "-p", "HEAD", "-m", "Uncommitted work")
        self.git("update-ref", DIRTY_REF, commit)

    def _bundle(self, *refs: str) -> Path:
        path = self._scratch / "made.bundle"
        self.git("bundle", "create", "--quiet", str(path), *refs)
        return path


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def workspace(scratch: Path) -> Workspace:
    return Workspace(scratch)


def status_of(directory: Path) -> list[str]:
    command = ["git", "status", "--porcelain"]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_latest_snapshot_becomes_a_checkout_with_its_uncommitted_work(
    workspace: Workspace, scratch: Path
) -> None:
    head = workspace.commit("books.py", "x = 1\n")
    (workspace.directory / "README.md").write_text("# Changed\n")
    (workspace.directory / "new.py").write_text("y = 2\n")
    workspace.dirty()
    workspace.snapshot("task/1-1", DIRTY_REF)
    said = StringIO()

    call_command("restore_workspace", str(workspace.worker.pk), "--to", str(scratch / "out"), stdout=said)

    out = scratch / "out"
    assert (out / "README.md").read_text() == "# Changed\n"
    assert (out / "books.py").exists()
    assert status_of(out) == [" M README.md", "?? new.py"]
    assert head[:12] in said.getvalue()
    assert "uncommitted" in said.getvalue()


def test_snapshot_without_uncommitted_work_is_clean(workspace: Workspace, scratch: Path) -> None:
    head = workspace.commit("books.py", "x = 1\n")
    workspace.snapshot("task/1-1")

    made = restore.restore(workspace.worker, scratch / "out")

    assert (made.head_sha, made.has_uncommitted) == (head, False)
    assert status_of(scratch / "out") == []


def test_rescued_commits_keep_the_uncommitted_work_of_the_snapshot_before(
    workspace: Workspace, scratch: Path
) -> None:
    workspace.commit("committed.py", "first\n")
    for name in ("committed.py", "draft.py"):
        (workspace.directory / name).write_text("draft\n")
    (workspace.directory / "README.md").unlink()
    workspace.dirty()
    workspace.snapshot("task/1-1", DIRTY_REF)
    workspace.git("reset", "--quiet")
    (workspace.directory / "committed.py").write_text("second\n")
    workspace.git("commit", "--quiet", "-m", "Second", "--", "committed.py")
    workspace.snapshot("task/1-1", reason="rescue")

    made = restore.restore(workspace.worker, scratch / "out")

    assert (made.head_sha, made.has_uncommitted) == (workspace.git("rev-parse", "HEAD"), True)
    assert (scratch / "out" / "committed.py").read_text() == "second\n"
    assert status_of(scratch / "out") == [" D README.md", "?? draft.py"]


def test_rescued_commits_that_hold_everything_leave_nothing_uncommitted(
    workspace: Workspace, scratch: Path
) -> None:
    (workspace.directory / "draft.py").write_text("draft\n")
    workspace.dirty()
    workspace.snapshot(DIRTY_REF)
    workspace.commit("draft.py", "done\n")
    workspace.snapshot("task/1-1", reason="rescue")

    made = restore.restore(workspace.worker, scratch / "out")

    assert not made.has_uncommitted
    assert status_of(scratch / "out") == []


def test_earlier_snapshot_can_be_asked_for(workspace: Workspace, scratch: Path) -> None:
    workspace.commit("one.py", "1")
    first = workspace.snapshot("task/1-1")
    workspace.commit("two.py", "2")
    workspace.snapshot("task/1-1")

    restore.restore(workspace.worker, scratch / "out", snapshot_id=first.pk)

    assert {path.name for path in (scratch / "out").glob("*.py")} == {"one.py"}


def test_link_that_points_outside_is_written_as_a_plain_file(workspace: Workspace, scratch: Path) -> None:
    (workspace.directory / "trap").symlink_to("/etc/passwd")
    workspace.commit("one.py", "1")
    workspace.snapshot("task/1-1")

    restore.restore(workspace.worker, scratch / "out")

    assert not (scratch / "out" / "trap").is_symlink()
    assert (scratch / "out" / "trap").read_text() == "/etc/passwd"


@pytest.mark.parametrize("content", [b"", b"no bundle", b"# v2 git bundle\n\nPACK", b"# v2 git bundle\nxx\n"])
def test_forged_bundle_is_refused(workspace: Workspace, scratch: Path, content: bytes) -> None:
    (scratch / "forged").write_bytes(content)
    workspace.store(scratch / "forged")

    with pytest.raises(CommandError):
        call_command("restore_workspace", str(workspace.worker.pk), "--to", str(scratch / "out"))

    assert not list((scratch / "out").glob("*.py"))


def test_nothing_is_written_over(workspace: Workspace, scratch: Path) -> None:
    workspace.commit("one.py", "1")
    workspace.snapshot("task/1-1")

    with pytest.raises(restore.DirectoryNotEmpty):
        restore.restore(workspace.worker, workspace.directory)


def test_worker_without_a_snapshot_has_nothing_to_restore(scratch: Path) -> None:
    worker = make_worker()

    for wanted in (str(worker.pk), str(uuid4())):
        with pytest.raises(CommandError):
            call_command("restore_workspace", wanted, "--to", str(scratch / "out"))

    assert not (scratch / "out").exists()


def test_admin_hands_out_a_snapshot_to_those_who_may_see_its_worker(
    workspace: Workspace, client: Client
) -> None:
    workspace.commit("one.py", "1")
    snapshot = workspace.snapshot("task/1-1")
    address = reverse("admin:workers_snapshot_download", args=[snapshot.pk])
    stranger, operator = make_user(), make_user(role=Role.OPERATOR)

    client.force_login(stranger)
    refused = client.get(address)
    client.force_login(operator)
    answer: Any = client.get(address)
    content = b"".join(answer.streaming_content)
    page = client.get(reverse("admin:workers_worker_change", args=[workspace.worker.pk]))
    storage.delete_bundle(snapshot.name)
    gone = client.get(address)

    assert (refused.status_code, gone.status_code) == (302, 404)
    assert content.startswith(b"# v2 git bundle")
    assert "attachment" in answer["Content-Disposition"]
    assert address in page.content.decode()


# --- files and changes, in the admin ---


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user(role=Role.OPERATOR))
    return client


def files_of(snapshot: Snapshot) -> str:
    return reverse("admin:workers_snapshot_files", args=[snapshot.pk])


def test_admin_shows_the_files_of_a_snapshot_and_what_was_changed(
    workspace: Workspace, operator: Client
) -> None:
    workspace.commit("books.py", "x = 1\n<script>alert(1)</script>\n")
    (workspace.directory / "README.md").write_text("# Changed\n")
    workspace.dirty()
    snapshot = workspace.snapshot("task/1-1", DIRTY_REF)

    response = operator.get(files_of(snapshot))

    contents = response.context["contents"]
    assert [one.path for one in contents.files] == ["README.md", "books.py"]
    assert contents.has_uncommitted
    assert [line for kind, line in response.context["diff_lines"] if kind == "removed"] == ["-# Base"]
    assert "+x = 1" in contents.diff
    assert "<script>alert" not in response.content.decode()


def test_admin_shows_one_file_of_a_snapshot(workspace: Workspace, operator: Client) -> None:
    workspace.commit("books.py", "x = 1\n")
    snapshot = workspace.snapshot("task/1-1")

    shown = operator.get(files_of(snapshot), {"path": "books.py"})
    absent = operator.get(files_of(snapshot), {"path": "nothing/there.py"})
    outside = operator.get(files_of(snapshot), {"path": "../../../../etc/passwd"})

    assert shown.context["text"].words == "x = 1\n"
    assert "file_not_there" in absent.content.decode()
    assert "root:" not in outside.content.decode()


def test_what_is_shown_of_a_snapshot_is_bounded(
    workspace: Workspace, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_reading, "MAX_FILES", 2)
    monkeypatch.setattr(snapshot_reading, "MAX_DIFF_BYTES", 100)
    monkeypatch.setattr(snapshot_reading, "MAX_FILE_BYTES", 10)
    for number in range(3):
        workspace.commit(f"file{number}.py", "x = 1\n" * 50)
    snapshot = workspace.snapshot("task/1-1")

    contents = operator.get(files_of(snapshot)).context["contents"]
    text = operator.get(files_of(snapshot), {"path": "file1.py"}).context["text"]

    assert (len(contents.files), contents.has_more_files) == (2, True)
    assert (len(contents.diff), contents.is_diff_cut) == (100, True)
    assert (text.words, text.is_cut) == ("x = 1\nx = ", True)


def test_secrets_of_a_worker_are_masked_in_its_files(workspace: Workspace, operator: Client) -> None:
    secret = "a-key-that-was-given-to-it"
    Worker.objects.filter(pk=workspace.worker.pk).update(config={"env_vars": {"MODEL_KEY": secret}})
    workspace.commit("leak.py", f"key = '{secret}'\n")
    snapshot = workspace.snapshot("task/1-1")

    pages = [operator.get(files_of(snapshot), words) for words in ({}, {"path": "leak.py"})]

    assert all(secret not in page.content.decode() for page in pages)
    assert all("***" in page.content.decode() for page in pages)


def test_forged_bundle_is_said_in_words(workspace: Workspace, scratch: Path, operator: Client) -> None:
    path = scratch / "forged.bundle"
    path.write_bytes(b"# v2 git bundle\nnothing\n\nPACK")
    snapshot = workspace.store(path)

    response = operator.get(files_of(snapshot))

    assert response.status_code == 200
    assert "snapshot_unreadable" in response.content.decode()


def test_files_are_shown_to_those_only_who_may_see_their_worker(workspace: Workspace, client: Client) -> None:
    workspace.commit("books.py", "x = 1\n")
    snapshot = workspace.snapshot("task/1-1")
    client.force_login(make_user())

    response = client.get(files_of(snapshot))

    assert response.status_code == 302
