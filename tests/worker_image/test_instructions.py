"""The instruction file: there for the agent, absent from everything the project gets."""

import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker_image.doubles import WorkerProcess, wait_until
from worker_image.contract import DIRTY_REF, INSTRUCTIONS_MARK, SnapshotReason
from worker_image.instructions import Instructions, InstructionsMissing, read_instructions
from worker_image.snapshots import Snapshots, TurnRefs
from worker_image.transfer import ApiClient
from worker_image.workspace import Workspace

pytestmark = pytest.mark.service
ORDERS = "Write tests. End with a <result> block.\n"


class Place:
    """A checkout of the control plane's base with instructions in it."""

    def __init__(self, directory: Path, api: ApiClient, agent_type: str) -> None:
        self.directory = directory / "workspace"
        self.directory.mkdir()
        self.instructions = Instructions(ORDERS, self.directory, agent_type)
        self.workspace = Workspace(self.directory, directory / "state", api, self.instructions)
        self.snapshots = Snapshots(self.workspace, directory / "state", api)

    async def prepare(self, branch: str = "task/1") -> TurnRefs:
        base_sha = await self.workspace.prepare(branch=branch, base_sha=None)
        return TurnRefs(request_id="turn-1", branch=branch, base_sha=base_sha)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.directory, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def read(self, name: str) -> str:
        return (self.directory / name).read_text()


@pytest.fixture
async def api(plane: Any) -> AsyncIterator[ApiClient]:
    async with ApiClient(plane.url, plane.token) as api:
        yield api


@pytest.fixture
def repository_has(plane: Any, scratch: Path) -> Any:
    """Give the project's base a file of its own."""

    def add(name: str, text: str) -> None:
        origin = scratch / "origin"
        (origin / name).write_text(text)
        for arguments in (["add", "."], ["commit", "-q", "-m", "Own"]):
            subprocess.run(["git", *arguments], cwd=origin, check=True, capture_output=True)
        bundle = scratch / "own.bundle"
        subprocess.run(
            ["git", "bundle", "create", "-q", str(bundle), "main"],
            cwd=origin,
            check=True,
            capture_output=True,
        )
        plane.bundle = bundle.read_bytes()
        found = subprocess.run(["git", "rev-parse", "main"], cwd=origin, capture_output=True, text=True)
        plane.base_sha = found.stdout.strip()

    return add


@pytest.mark.parametrize(
    ("agent_type", "name", "other"),
    [
        ("claude", "CLAUDE.md", "AGENTS.md"),
        ("factory", "AGENTS.md", "CLAUDE.md"),
        ("codex", "AGENTS.md", "CLAUDE.md"),
        ("rehearsal", "AGENTS.md", "CLAUDE.md"),
    ],
)
async def test_only_the_agents_own_file_exists_and_git_does_not_see_it(
    scratch: Path, api: ApiClient, agent_type: str, name: str, other: str
) -> None:
    place = Place(scratch, api, agent_type)
    place.instructions.place_alone()

    await place.prepare()

    assert place.read(name).splitlines()[:2] == [INSTRUCTIONS_MARK, ORDERS.strip()]
    assert not (place.directory / other).exists()
    assert place.git("status", "--porcelain") == ""


async def test_projects_own_file_is_read_after_ours_and_stays_as_it_is_in_commits(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    place.instructions.place_alone()
    await place.prepare()

    (place.directory / "new.py").write_text("x = 1\n")
    place.git("add", "--all")
    place.git("commit", "-q", "-a", "-m", "Work")

    words = place.read("AGENTS.md")
    assert words.index(ORDERS.strip()) < words.index("Use tabs.")
    assert place.git("show", "HEAD:AGENTS.md") == "Use tabs."
    assert place.git("show", "--name-only", "--format=", "HEAD") == "new.py"
    assert place.git("status", "--porcelain") == ""


async def test_file_is_in_place_again_with_every_turn_and_on_every_branch(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("CLAUDE.md", "@AGENTS.md\n")
    place = Place(scratch, api, "claude")
    await place.prepare()
    (place.directory / "CLAUDE.md").write_text("forget them")

    await place.prepare(branch="task/2")
    await place.prepare(branch="task/1")

    assert place.read("CLAUDE.md").startswith(INSTRUCTIONS_MARK)
    assert place.read("CLAUDE.md").rstrip().endswith("@AGENTS.md")
    assert place.git("status", "--porcelain") == ""
    assert place.git("symbolic-ref", "--short", "HEAD") == "task/1"


async def test_snapshot_of_uncommitted_work_has_the_projects_file(
    scratch: Path, api: ApiClient, plane: Any, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "codex")
    refs = await place.prepare()
    untouched = await place.snapshots.upload_changes(refs, SnapshotReason.PERIODIC)

    (place.directory / "new.py").write_text("x = 1\n")
    await place.snapshots.upload_changes(refs, SnapshotReason.PERIODIC)

    place.git("fetch", "-q", str(plane.uploads[0].path), f"{DIRTY_REF}:refs/heads/dirty")
    assert not untouched
    assert place.git("show", "dirty:AGENTS.md") == "Use tabs."
    assert place.git("diff", "--name-only", refs.base_sha, "dirty") == "new.py"


async def test_link_of_the_projects_name_is_replaced_and_its_target_is_not(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    (scratch / "origin" / "CLAUDE.md").symlink_to("README.md")
    repository_has("other.txt", "x")
    place = Place(scratch, api, "claude")

    await place.prepare()

    assert place.read("CLAUDE.md").startswith(INSTRUCTIONS_MARK)
    assert place.read("README.md") == "# Project\n"
    assert place.git("status", "--porcelain") == ""


async def test_commit_of_our_words_is_noticed(scratch: Path, api: ApiClient, repository_has: Any) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    refs = await place.prepare()

    place.git("update-index", "--no-skip-worktree", "AGENTS.md")
    place.git("commit", "-q", "-a", "-m", "Everything")

    assert await place.instructions.is_committed("refs/heads/task/1")
    assert not await place.instructions.is_committed(refs.base_sha)


@pytest.mark.parametrize("content", [None, b"something else", b"\xff\xfe"])
def test_instructions_that_were_announced_and_are_not_there_are_refused(
    scratch: Path, content: bytes | None
) -> None:
    if content is not None:
        (scratch / "instructions.md").write_bytes(content)
    digest = hashlib.sha256(ORDERS.encode()).hexdigest()

    with pytest.raises(InstructionsMissing):
        read_instructions(
            {"INPUT_DIR": str(scratch), "INSTRUCTIONS_SHA256": digest}, directory=scratch, agent_type="claude"
        )


@pytest.mark.integration
def test_worker_whose_instructions_are_missing_ends_before_it_says_anything(worker: WorkerProcess) -> None:
    worker.variables = {"INPUT_DIR": "/nowhere", "INSTRUCTIONS_SHA256": "0" * 64}

    worker.start()

    assert worker.process is not None
    assert worker.process.wait(timeout=30) == 4


@pytest.mark.integration
def test_worker_puts_its_instructions_in_place_before_it_reports(
    worker: WorkerProcess, scratch: Path, valkey: Any
) -> None:
    inputs = scratch / "inputs"
    inputs.mkdir()
    (inputs / "instructions.md").write_text(ORDERS)
    digest = hashlib.sha256(ORDERS.encode()).hexdigest()
    worker.variables = {"INPUT_DIR": str(inputs), "INSTRUCTIONS_SHA256": digest}
    worker.write_agent(
        "import pathlib, subprocess\n"
        "text = pathlib.Path('AGENTS.md').read_text()\n"
        "pathlib.Path('a.py').write_text('x')\n"
        "subprocess.run(['git', 'add', '-f', '-A'], check=True)\n"
        "subprocess.run(['git', 'add', '-f', 'AGENTS.md'], check=True)\n"
        "subprocess.run(['git', 'commit', '-q', '-m', 'All'], check=True)\n"
        'print(\'<result>{"status": "success", "summary": "ok"}</result>\')'
    )

    worker.start()
    wait_until(lambda: valkey.client.xlen("worker:w1:output"))
    placed = (scratch / "workspace" / "AGENTS.md").read_text()
    worker.push()
    result = worker.wait_for_result()

    assert ORDERS.strip() in placed
    assert result.error_code == "snapshot_refused"
    assert "AGENTS.md" in (result.error or "")


async def collected(place: Place, text: str) -> bool:
    """Let an agent leave a text in its file, and collect what is the project's."""
    (place.directory / place.instructions.name).write_text(text)
    return await place.instructions.collect("task/1")


async def test_what_the_agent_adds_to_the_projects_file_is_committed(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "codex")
    refs = await place.prepare()
    (place.directory / "staged.py").write_text("x = 1\n")
    place.git("add", "staged.py")

    found = await collected(place, f"{place.read('AGENTS.md').rstrip()}\n\nUse Python 3.\n")
    again = await place.instructions.collect("task/1")

    assert (found, again) == (True, False)
    assert place.git("show", "task/1:AGENTS.md") == "Use tabs.\n\nUse Python 3."
    assert place.git("diff", "--name-only", refs.base_sha, "task/1") == "AGENTS.md"
    assert place.git("status", "--porcelain") == "A  staged.py"
    assert place.read("AGENTS.md").startswith(INSTRUCTIONS_MARK)
    assert not await place.instructions.is_committed("refs/heads/task/1")


async def test_file_that_the_project_had_not_is_added(scratch: Path, api: ApiClient) -> None:
    place = Place(scratch, api, "claude")
    await place.prepare()

    found = await collected(place, f"{place.read('CLAUDE.md')}\nUse tabs.\n")

    assert found
    assert place.git("show", "task/1:CLAUDE.md") == "Use tabs."
    assert place.git("status", "--porcelain") == ""


async def test_file_that_was_written_anew_is_the_projects(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    await place.prepare()

    found = await collected(place, "Use spaces.\n")

    assert found
    assert place.git("show", "task/1:AGENTS.md") == "Use spaces."
    assert place.read("AGENTS.md").startswith(INSTRUCTIONS_MARK)


@pytest.mark.parametrize(
    "left",
    ["nothing new", "empty", "deleted", "a change of our words", "a link", "no text", "too much"],
)
async def test_nothing_is_collected_that_is_not_clearly_the_projects(
    scratch: Path, api: ApiClient, repository_has: Any, left: str
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    refs = await place.prepare()
    path = place.directory / "AGENTS.md"
    before = path.read_text()
    if left in ("deleted", "a link"):
        path.unlink()
    if left == "a link":
        path.symlink_to("README.md")
    contents = {
        "empty": b"",
        "a change of our words": before.replace(ORDERS.strip(), "Write nothing.").encode(),
        "no text": b"\xff\xfe",
        "too much": b"x" * 1_048_577,
    }
    if left in contents:
        path.write_bytes(contents[left])

    found = await place.instructions.collect("task/1")

    assert not found
    assert place.git("rev-parse", "task/1") == refs.base_sha


async def test_what_the_agent_committed_itself_stays(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    await place.prepare()
    place.git("update-index", "--no-skip-worktree", "AGENTS.md")
    (place.directory / "AGENTS.md").write_text("Mine.\n")
    place.git("commit", "-q", "-a", "-m", "Own words")

    found = await collected(place, "Something else.\n")

    assert not found
    assert place.git("show", "task/1:AGENTS.md") == "Mine."


async def test_nothing_is_committed_on_a_branch_that_is_not_checked_out(
    scratch: Path, api: ApiClient, repository_has: Any
) -> None:
    repository_has("AGENTS.md", "Use tabs.\n")
    place = Place(scratch, api, "factory")
    refs = await place.prepare()
    place.git("checkout", "-q", "-b", "elsewhere")

    found = await collected(place, "Use spaces.\n")

    assert not found
    assert place.git("rev-parse", "task/1") == refs.base_sha


@pytest.mark.integration
def test_turn_that_only_changes_the_projects_instructions_has_a_commit(
    worker: WorkerProcess, scratch: Path, valkey: Any
) -> None:
    inputs = scratch / "inputs"
    inputs.mkdir()
    (inputs / "instructions.md").write_text(ORDERS)
    digest = hashlib.sha256(ORDERS.encode()).hexdigest()
    worker.variables = {"INPUT_DIR": str(inputs), "INSTRUCTIONS_SHA256": digest}
    worker.write_agent(
        "import pathlib\n"
        "with pathlib.Path('AGENTS.md').open('a') as file:\n"
        "    file.write('Use tabs.\\n')\n"
        'print(\'<result>{"status": "success", "summary": "ok"}</result>\')'
    )

    worker.start()
    wait_until(lambda: valkey.client.xlen("worker:w1:output"))
    worker.push()
    result = worker.wait_for_result()

    git = ["git", "-C", str(scratch / "workspace"), "show", f"{result.commit_sha}:AGENTS.md"]
    assert result.status == "success"
    assert subprocess.run(git, capture_output=True, text=True, check=True).stdout == "Use tabs.\n"
