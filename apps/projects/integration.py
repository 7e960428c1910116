"""From a worker's bundle to a branch, and from a verified branch to the default branch."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from apps import storage
from apps.projects import bundles
from apps.projects.bundle_errors import BundleRefused
from apps.projects.forge.base import BaseMoved, BranchNotFound, MergeSpec, Repository
from apps.projects.models import MergeRequest
from apps.projects.tools import Tools, step
from apps.projects.workspace import (
    BranchKeepsMoving,
    HeadFacts,
    ensure_repository,
    read_manifest,
    store_head,
)

_SHOWN: Final = 200


class HeadMismatch(BundleRefused):
    """The bundle's branch ends at another commit than was claimed."""

    code = "head_mismatch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A change on its branch; the fields are columns of MergeRequest."""

    checkout_name: str
    checkout_sha256: str
    report: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """A change in the default branch, and what the branch has become."""

    merge_sha: str
    head: HeadFacts


def open_change(change: MergeRequest, tools: Tools) -> Opened:
    """Inspect a worker's bundle, put its head on the change's branch and export it for the verification.

    A git host that runs checks of its own sees nothing before we have verified it.

    Args:
        change: its row, with the project and the task.
        tools: the forge and the storage.

    Raises:
        BundleRefused: the change will never be acceptable.
        BaseMoved: the default branch is not where the work began.
        Unavailable: the forge, the storage or git; says nothing about the change.

    """
    with step("find repository"):
        repository = ensure_repository(change.project, tools)
        _check_base(change, repository, tools)
    with imported_change(change, repository, tools) as imported:
        if tools.hosting is None:
            with step("push"):
                _push(change, repository, imported, tools)
        with step("export checkout"):
            stored = _export_checkout(change, imported, tools)
        report = report_of(imported.report)
    return Opened(checkout_name=stored.name, checkout_sha256=stored.sha256, report=report)


@contextlib.contextmanager
def imported_change(
    change: MergeRequest, repository: Repository, tools: Tools
) -> Iterator[bundles.ImportedBundle]:
    """Inspect a change's bundle and offer its commits in a throw-away repository while the context lasts.

    Args:
        change: its row, with the project and the task.
        repository: of the project.
        tools: the forge and the storage.

    Raises:
        BundleRefused: the change will never be acceptable.
        Unavailable: the forge, the storage or git; says nothing about the change.

    """
    with step("find repository"):
        protected = read_manifest(repository, sha=change.base_sha, tools=tools).protected
        mirror = tools.forge.mirror(repository)
    with tools.temporary_directory("change") as place:
        with step("fetch bundle"):
            storage.copy_to(change.bundle_name, place / "change.bundle", sha256=change.bundle_sha256)
        with (
            step("inspect bundle"),
            bundles.imported_bundle(
                place / "change.bundle",
                mirror=mirror,
                base_sha=change.base_sha,
                branch=change.branch,
                protected=protected,
                allow_protected=change.task.allow_protected,
                limits=tools.bundle_limits,
                scratch=place,
            ) as imported,
        ):
            _check_head(change, imported.report.head_sha)
            yield imported


def merge_change(change: MergeRequest, tools: Tools) -> Merged:
    """Merge a verified change, or find that it is merged, and read the branch back.

    On a git host with pull requests the merge goes through the change's own.

    Args:
        change: its row, with the project.
        tools: the forge and the storage.

    Raises:
        BaseMoved: the default branch is not where the work began.
        MergeConflict: the change does not contain its base.
        Unavailable: the forge or the storage; the same call may work later.

    """
    with step("find repository"):
        repository = ensure_repository(change.project, tools)
    with step("merge"):
        merge_sha = _merge(change, repository, tools)
    with step("read back"):
        head = tools.forge.head(repository, repository.default_branch)
        found = tools.forge.find_merge(repository, str(change.pk))
        if head is None or found is None or found.sha != merge_sha:
            raise BranchKeepsMoving(details={"expected": merge_sha, "found": head})
    return Merged(merge_sha=merge_sha, head=store_head(change.project, repository, sha=head, tools=tools))


def _merge(change: MergeRequest, repository: Repository, tools: Tools) -> str:
    spec = MergeSpec(
        request_id=str(change.pk),
        source_sha=change.head_sha,
        into=repository.default_branch,
        expected_base=change.base_sha,
        message=f"{change.title}\n\nTask: {change.task_id}",
        authored_at=change.created_at,
        pull_request=change.pull_request,
    )
    return tools.forge.merge(repository, spec).sha


def adopt_merge(change: MergeRequest, merge_sha: str, tools: Tools) -> Merged:
    """Take a merge that a person made of the verified commit as the change's own, and read the branch back.

    Args:
        change: its row, with the project.
        merge_sha: what the host calls the merge; empty if it does not tell.
        tools: the forge and the storage.

    Raises:
        BranchNotFound: there is no default branch.
        Unavailable: the forge or the storage; the same call may work later.

    """
    with step("find repository"):
        repository = ensure_repository(change.project, tools)
    with step("read back"):
        head = tools.forge.head(repository, repository.default_branch)
        if head is None:
            raise BranchNotFound(details={"branch": repository.default_branch})
    facts = store_head(change.project, repository, sha=head, tools=tools)
    return Merged(merge_sha=merge_sha or head, head=facts)


def report_of(report: bundles.BundleReport) -> dict[str, Any]:
    """Return the inspection's report as JSON of bounded size."""
    shown = asdict(report)
    shown["files_changed"] = report.files_changed
    shown["paths"] = list(report.paths[:_SHOWN])
    shown["commits"] = [asdict(commit) for commit in report.commits[:_SHOWN]]
    return shown


def _check_base(change: MergeRequest, repository: Repository, tools: Tools) -> None:
    # Found again at the merge; here it saves a verification of what cannot be merged.
    head = tools.forge.head(repository, repository.default_branch)
    if head != change.base_sha:
        raise BaseMoved(details={"expected": change.base_sha, "found": head})


def _check_head(change: MergeRequest, found: str) -> None:
    if found != change.head_sha:
        raise HeadMismatch(details={"expected": change.head_sha, "found": found})


def _push(
    change: MergeRequest, repository: Repository, imported: bundles.ImportedBundle, tools: Tools
) -> None:
    tools.forge.push(
        repository,
        source=imported.repository,
        sha=change.head_sha,
        branch=change.branch,
        expected=tools.forge.head(repository, change.branch),
    )


def _export_checkout(
    change: MergeRequest, imported: bundles.ImportedBundle, tools: Tools
) -> storage.StoredBundle:
    with tools.temporary_directory("checkout") as place:
        bundles.make_bundle(
            imported.repository,
            sha=change.head_sha,
            destination=place / "checkout.bundle",
            branch=change.branch,
            base_sha=change.base_sha,
        )
        name = storage.checkout_name(merge_request_id=change.pk)
        return tools.save_bundle(place / "checkout.bundle", name=name)
