"""Reads the head of a default branch back from the forge and puts it where others can use it."""

from dataclasses import dataclass
from typing import Any

from apps import storage
from apps.errors import Conflict
from apps.projects import manifest
from apps.projects.forge.base import FileNotFound, FileOverLimit, Repository, RepositorySpec
from apps.projects.models import Project
from apps.projects.tools import Tools, step


class BranchKeepsMoving(Conflict):
    """The branch moved between two looks at it."""

    code = "branch_keeps_moving"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadFacts:
    """The head of a default branch as observed; the fields are columns of Project."""

    head_sha: str
    manifest: dict[str, Any]
    workspace_name: str
    workspace_sha256: str


def ensure_repository(project: Project, tools: Tools) -> Repository:
    """Return the project's repository, made now or found; see `Forge.ensure_repository`."""
    return tools.forge.ensure_repository(
        RepositorySpec(
            project_id=str(project.pk),
            name=project.slug,
            description=project.description,
            default_branch=project.default_branch,
            repository_id=project.repository_id or None,
        )
    )


def known_repository(project: Project) -> Repository:
    """Return a scaffolded project's repository as our records have it, without asking the host."""
    return Repository(
        id=project.repository_id,
        name=project.slug,
        default_branch=project.default_branch,
        url=project.repository_url,
    )


def store_head(project: Project, repository: Repository, *, sha: str, tools: Tools) -> HeadFacts:
    """Read the manifest of a head and export the branch into the storage, unless it is there.

    Args:
        project: whose workspace it becomes.
        repository: where it lies.
        sha: the head that was just read.
        tools: the forge and the storage.

    Raises:
        BranchKeepsMoving: what was exported is another head.
        ManifestInvalid: the head's manifest is missing or cannot be used.
        Unavailable: the forge or the storage does not answer, or the disk is full.

    """
    with step("read manifest"):
        found = read_manifest(repository, sha=sha, tools=tools)
    with step("export workspace"):
        bundle = _stored(project, repository, sha=sha, tools=tools)
    return HeadFacts(
        head_sha=sha,
        manifest=found.model_dump(mode="json"),
        workspace_name=bundle.name,
        workspace_sha256=bundle.sha256,
    )


def read_manifest(repository: Repository, *, sha: str, tools: Tools) -> manifest.Manifest:
    """Read the manifest of a commit.

    Raises:
        ManifestInvalid: it is missing, too large or cannot be used.

    """
    try:
        content = tools.forge.read_file(
            repository, sha=sha, path=manifest.FILE_NAME, limit=manifest.MAX_BYTES
        )
    except FileNotFound as error:
        raise manifest.ManifestMissing(details={"field": manifest.FILE_NAME}) from error
    except FileOverLimit as error:
        details = {"field": manifest.FILE_NAME, "size": error.details.get("size")}
        raise manifest.ManifestInvalid("The manifest is too large", details=details) from error
    return manifest.parse_manifest(content)


def _stored(project: Project, repository: Repository, *, sha: str, tools: Tools) -> storage.StoredBundle:
    name = storage.workspace_name(project_id=project.pk, sha=sha)
    known = storage.find_bundle(name)
    if known is not None:
        return known
    with tools.temporary_directory("export") as place:
        info = tools.forge.export_bundle(
            repository, branch=repository.default_branch, destination=place / "head.bundle"
        )
        if info.head_sha != sha:
            raise BranchKeepsMoving(details={"expected": sha, "found": info.head_sha})
        return tools.save_bundle(place / "head.bundle", name=name)
