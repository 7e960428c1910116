"""The steps that the conformance suites of forges begin with."""

from dataclasses import replace
from typing import Any

from apps.projects.forge import base
from tests.fakes_forge import MOMENT, GitSource

SPEC = base.RepositorySpec(project_id="project-1", name="book-list", description="Books")


def start(forge: base.Forge, source: GitSource) -> tuple[base.Repository, str, str]:
    """A repository with one commit on main and a verified one on a task's branch."""
    repository = forge.ensure_repository(SPEC)
    first = source.commit_files({"README.md": b"Books\n"})
    work = source.commit_files({"README.md": b"Books\n", "app/main.py": b"pass\n"}, first)
    forge.push(repository, source=source.path, sha=first, branch="main", expected=None)
    forge.push(repository, source=source.path, sha=work, branch="task/1", expected=None)
    return repository, first, work


def merge_spec(first: str, work: str, **changes: Any) -> base.MergeSpec:
    spec = base.MergeSpec(
        request_id="run-1",
        source_sha=work,
        into="main",
        expected_base=first,
        message="Add",
        authored_at=MOMENT,
    )
    return replace(spec, **changes)
