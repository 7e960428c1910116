"""Brings a rebase from its row to a bundle: the worker's commits on what the default branch has become.

The worker's own bundle is the source every time, so a rebase of a rebase does not
depend on the first one. The present head is written to the row together with the
commits that were replayed onto it; whoever repeats the work replays the same.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from apps import storage
from apps.enqueue import advisory_lock
from apps.errors import Unavailable
from apps.projects.bundle_write import write_bundle
from apps.projects.forge.base import BranchNotFound, Repository
from apps.projects.git import Git
from apps.projects.integration import imported_change
from apps.projects.models import MergeRequest, Project
from apps.projects.rebase import replay
from apps.projects.tools import Tools, step
from apps.projects.workspace import ensure_repository, store_head


class ProjectBusy(Unavailable):
    """Somebody else is writing the project's head at this moment."""

    code = "project_busy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebased:
    """A rebase with its own bundle; the fields are columns of MergeRequest."""

    base_sha: str
    head_sha: str
    bundle_name: str
    bundle_sha256: str


def rebase_change(change: MergeRequest, origin: MergeRequest, tools: Tools) -> Rebased:
    """Replay a worker's commits onto the present head of the default branch and store them as a bundle.

    Args:
        change: the rebase's row, with project and task.
        origin: the worker's change, with project and task.
        tools: the forge and the storage.

    Raises:
        RebaseConflict, RebaseEmpty: see `rebase.replay`.
        BundleRefused: the worker's change is not acceptable, wherever it is put.
        Unavailable: the forge, the storage or git.

    """
    with step("find repository"):
        repository = ensure_repository(change.project, tools)
        head = tools.forge.head(repository, repository.default_branch)
        if head is None:
            raise BranchNotFound(details={"branch": repository.default_branch})
    if head != change.project.head_sha:
        head = _refresh(change.project, repository, tools)
    if change.bundle_name and change.base_sha == head:
        return Rebased(
            base_sha=head,
            head_sha=change.head_sha,
            bundle_name=change.bundle_name,
            bundle_sha256=change.bundle_sha256,
        )
    with imported_change(origin, repository, tools) as imported, step("rebase"):
        git = Git(repository=imported.repository, durable=False)
        moved = replay(git, base_sha=origin.base_sha, head_sha=origin.head_sha, onto=head)
        # One of an earlier base would stay under this name.
        storage.delete_bundle(storage.checkout_name(merge_request_id=change.pk))
        return _store(change, git, base_sha=head, head_sha=moved, tools=tools)


def _refresh(project: Project, repository: Repository, tools: Tools) -> str:
    """Read the default branch back, which somebody else has moved, and return its head."""
    with advisory_lock("project", project.pk) as obtained:
        if not obtained:
            raise ProjectBusy
        head = tools.forge.head(repository, repository.default_branch) or ""
        columns = asdict(store_head(project, repository, sha=head, tools=tools))
        Project.objects.filter(pk=project.pk).update(**columns)
    for name, value in columns.items():
        setattr(project, name, value)
    return head


def _store(change: MergeRequest, git: Git, *, base_sha: str, head_sha: str, tools: Tools) -> Rebased:
    with tools.temporary_directory("rebase") as place:
        file: Path = place / "rebased.bundle"
        ref = f"refs/heads/{change.branch}"
        git.run("update-ref", ref, head_sha)
        written = write_bundle(git, [ref, f"^{base_sha}"], file)
        # The name carries the digest: a repeat on another base does not meet this one.
        name = storage.snapshot_name(worker_id=change.pk, sha256=written.sha256)
        stored = tools.save_bundle(file, name=name)
    return Rebased(base_sha=base_sha, head_sha=head_sha, bundle_name=stored.name, bundle_sha256=stored.sha256)
