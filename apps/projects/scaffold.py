"""From a draft to a repository with its first commit; every step may be repeated and adopts what is there.

The commit's content, author and date come from the project's row, and its id is
written to the row before it is pushed: whoever repeats the work after a crash
makes the same commit, or recognizes the one that was pushed.
"""

from dataclasses import asdict
from typing import Any

from apps.errors import Conflict
from apps.projects import objects
from apps.projects.forge.base import BranchMoved, Repository
from apps.projects.models import Project, ProjectStatus
from apps.projects.templating import NAME_LENGTH, TemplateAnswers
from apps.projects.tools import Tools, step
from apps.projects.workspace import ensure_repository, store_head


class RepositoryNotEmpty(Conflict):
    """The project's repository holds commits that are not ours: empty it at the git host, then try again."""

    code = "repository_not_empty"


def scaffold(project: Project, tools: Tools) -> dict[str, Any]:
    """Make the project's repository and first commit, or find them.

    Args:
        project: its row; facts are added to it as they become known.
        tools: the forge, the template and the storage.

    Returns:
        Columns of the row that hold what was observed.

    Raises:
        RepositoryNotEmpty, RepositoryTaken, RepositoryNotFound: the forge holds something else.
        Template...: see `templating.render`.
        ManifestInvalid: the template's own manifest cannot be used.
        Unavailable: the forge or the disk; the same call may work later.

    """
    with step("create repository"):
        repository = ensure_repository(project, tools)
        _note(project, repository_id=repository.id, repository_url=repository.url)
    with step("push"):
        head = tools.forge.head(repository, repository.default_branch)
    if head is None or head != project.scaffold_sha:
        _publish(project, repository, tools)
    with step("read back"):
        head = tools.forge.head(repository, repository.default_branch)
    if head != project.scaffold_sha:
        raise RepositoryNotEmpty(details={"step": "read back", "found": head})
    facts = store_head(project, repository, sha=head, tools=tools)
    if tools.hosting is not None:
        # After the first push, which the protection would refuse.
        with step("protect branch"):
            checks = tuple(facts.manifest.get("checks") or ("check",))
            tools.hosting.protect_branch(repository, branch=repository.default_branch, checks=checks)
    return asdict(facts)


def answers_of(project: Project) -> TemplateAnswers:
    """Return what the template is filled with: only what the row says."""
    return TemplateAnswers(
        project_name=project.name[:NAME_LENGTH].strip(),
        project_slug=project.slug,
        project_description=project.description,
        modules=tuple(project.modules),
        project_owner=project.owner.get_username(),
    )


def _publish(project: Project, repository: Repository, tools: Tools) -> None:
    with tools.temporary_directory("scaffold") as place:
        with step("render template"):
            rendered = tools.render(place / "project", answers=answers_of(project))
        with step("commit"):
            git = objects.create_bare(place / "repository.git", branch=repository.default_branch)
            sha = objects.commit_directory(
                git, place / "project", message=_message(project), authored_at=project.created_at
            )
            _note(project, scaffold_sha=sha, template_version=rendered.template_version)
        with step("push"):
            try:
                tools.forge.push(
                    repository,
                    source=place / "repository.git",
                    sha=sha,
                    branch=repository.default_branch,
                    expected=None,
                )
            except BranchMoved as error:
                raise RepositoryNotEmpty(details=error.details) from error


def _message(project: Project) -> str:
    return f"Create {project.slug} from the template\n"


def _note(project: Project, **facts: str) -> None:
    """Write facts to the row while it is still being scaffolded, and to the instance."""
    Project.objects.filter(pk=project.pk, status=ProjectStatus.SCAFFOLDING).update(**facts)
    for name, value in facts.items():
        setattr(project, name, value)
