"""The local forge survives the death of its callers at any moment."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.projects.forge import base
from apps.projects.forge.local import LocalForge
from apps.projects.git import Git
from tests.fakes_forge import MOMENT, GitSource

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[4]
SPEC = base.RepositorySpec(project_id="project-1", name="books")
# What a Celery process does, in a process that can be killed.
CALLER = """
import sys
from pathlib import Path
from tests.apps.projects.forge import test_local
print("ready", flush=True)
root, source, first, work = sys.argv[1:]
print(test_local.create_push_merge(Path(root), Path(source), first, work).sha, flush=True)
"""


def create_push_merge(root: Path, source: Path, first: str, work: str) -> base.MergeResult:
    forge = LocalForge(root)
    repository = forge.ensure_repository(SPEC)
    if forge.head(repository, "main") is None:
        forge.push(repository, source=source, sha=first, branch="main", expected=None)
    forge.push(repository, source=source, sha=work, branch="task/1", expected=None)
    spec = base.MergeSpec(
        request_id="run-1",
        source_sha=work,
        into="main",
        expected_base=first,
        message="Add",
        authored_at=MOMENT,
    )
    return forge.merge(repository, spec)


def start_caller(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CALLER, *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("seed", range(4))
def test_callers_killed_at_any_moment_leave_one_merge(tmp_path: Path, seed: int) -> None:
    source = GitSource(tmp_path / "source.git")
    first = source.commit_files({"a": b"a"})
    work = source.commit_files({"a": b"a", "b": b"b"}, first)
    arguments = (str(tmp_path / "forge"), str(source.path), first, work)
    moments = random.Random(seed)

    for _ in range(3):
        process = start_caller(*arguments)
        time.sleep(moments.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
    merged = create_push_merge(tmp_path / "forge", source.path, first, work)

    forge = LocalForge(tmp_path / "forge")
    repository = forge.ensure_repository(SPEC)
    assert forge.list_merges(repository) == [merged]
    assert forge.head(repository, "main") == merged.sha
    Git(repository=forge.mirror(repository)).run("fsck", "--strict", "--full")


def test_callers_in_several_processes_make_one_merge(tmp_path: Path) -> None:
    source = GitSource(tmp_path / "source.git")
    first = source.commit_files({"a": b"a"})
    work = source.commit_files({"a": b"a", "b": b"b"}, first)
    arguments = (str(tmp_path / "forge"), str(source.path), first, work)

    callers = [start_caller(*arguments) for _ in range(3)]
    results = {caller.communicate(timeout=60)[0].strip() for caller in callers}

    forge = LocalForge(tmp_path / "forge")
    merges = forge.list_merges(forge.ensure_repository(SPEC))
    assert results == {merge.sha for merge in merges}
    assert len(merges) == 1
