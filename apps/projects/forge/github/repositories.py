"""Repositories: made once for a project, recognised by the host's id and by a mark, protected, deleted.

The mark is the end of the description, ``[codegen:<project id>]``: it is written by
the very call that makes the repository, so a crash leaves none without it (a topic
would take a second call, a custom property an Enterprise plan). It matters only
until the project's row knows the id.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors
from apps.projects.forge.github.app import TokenRepositoryAbsent, scope
from apps.projects.forge.github.client import MAX_PAGES, entries_of
from apps.projects.forge.github.mirrors import MirrorVerbs
from apps.projects.forge.github.transport import PAGE_SIZE, Answer, Request, segment
from apps.projects.forge.listing import ListedRepository, marked_project
from apps.projects.git_names import check_branch

_LIST: Final = scope(metadata="read")
_CREATE: Final = scope(administration="write")
_ADMINISTRATION: Final[Mapping[str, str]] = {"administration": "write"}
_DESCRIPTION: Final = 350
_SPACE = re.compile(r"\s+")


class RepositoryVerbs(MirrorVerbs):
    """The verbs that concern a repository as a whole."""

    def ensure_repository(self, spec: base.RepositorySpec) -> base.Repository:
        """See `Forge.ensure_repository`.

        Raises:
            OrganisationNotFound, AppNotInstalled, ForgeForbidden: an operator has to act.

        """
        base.check_name(spec.name)
        check_branch(spec.default_branch)
        if spec.repository_id is not None:
            found = self._client.look(spec.name)
            if found is None:
                raise base.RepositoryNotFound(details={"repository": spec.name})
            return _ours(spec, found)
        answer = self._create(spec)
        if answer.status == 201:
            return _repository(spec, answer.mapping)
        if answer.status == 404:
            raise hosting.OrganisationNotFound(details={"organisation": self._client.config.organisation})
        found = self._client.look(spec.name)
        if found is None:
            raise errors.error_of(answer)
        return _ours(spec, found)

    def list_repositories(self) -> Sequence[ListedRepository]:
        """See `Forge.list_repositories`: what the app's installation reaches.

        Raises:
            ForgeUnavailable: the pages do not add up to what GitHub says there is, or have no end.

        """
        page = Request("GET", "/installation/repositories", parameters={"per_page": str(PAGE_SIZE)})
        found: dict[str, ListedRepository] = {}
        for _ in range(MAX_PAGES):
            answer = self._client.ask(page, scope=_LIST)
            found |= {one.id: one for one in map(_listed, entries_of(answer, "repositories"))}
            if answer.next_page is None:
                break
            page = Request("GET", answer.next_page)
        if len(found) != answer.mapping.get("total_count"):
            raise base.ForgeUnavailable("GitHub's list of repositories is not complete")
        return list(found.values())

    def delete_repository(self, repository: base.Repository) -> None:
        """See `Hosting.delete_repository`: only the one with our id, whatever its name is now."""
        if not repository.id.isdecimal():
            return
        path = self._client.repository_path(repository.name)
        try:
            self._client.ask(
                Request("DELETE", path), scope=scope(int(repository.id), **_ADMINISTRATION), accept=(404,)
            )
        except TokenRepositoryAbsent:
            return

    def protect_branch(self, repository: base.Repository, *, branch: str, checks: tuple[str, ...]) -> None:
        """See `Hosting.protect_branch`.

        Raises:
            BranchNotFound: GitHub protects only a branch that exists: push first.
            ForgeForbidden: the organisation's plan does not protect branches of private repositories.

        """
        path = f"/branches/{segment(check_branch(branch))}/protection"
        rules = {
            "required_status_checks": {"strict": True, "contexts": list(checks)},
            "enforce_admins": True,
            "required_pull_request_reviews": {"required_approving_review_count": 0},
            "restrictions": None,
            "allow_force_pushes": False,
            "allow_deletions": False,
        }
        try:
            self._ask(
                repository,
                Request("PUT", path, body=rules),
                permissions=_ADMINISTRATION,
                absent=base.BranchNotFound,
            )
            read = self._ask(
                repository, Request("GET", path), permissions=_ADMINISTRATION, absent=base.BranchNotFound
            ).mapping
        except base.BranchNotFound as error:
            raise self._unseen(repository, branch) from error
        if not _is_protected(read, checks):
            raise hosting.ForgeRefused(
                "GitHub did not protect the branch as it was asked to", details={"branch": branch}
            )

    def _create(self, spec: base.RepositorySpec) -> Answer:
        body = {
            "name": spec.name,
            "description": marked_description(spec),
            "private": True,
            "auto_init": False,
            "has_wiki": False,
            "has_projects": False,
            "allow_merge_commit": True,
        }
        return self._client.ask(
            Request("POST", f"/orgs/{segment(self._client.config.organisation)}/repos", body=body),
            scope=_CREATE,
            accept=(404, 422),
        )


def marked_description(spec: base.RepositorySpec) -> str:
    """Return the description of a project's repository: one printable line that ends with our mark."""
    mark = _mark(spec)
    words = "".join(c if c.isprintable() else " " for c in spec.description)
    return f"{_SPACE.sub(' ', words).strip()[: _DESCRIPTION - len(mark) - 1]} {mark}".strip()


def _mark(spec: base.RepositorySpec) -> str:
    return f"[codegen:{spec.project_id}]"


def _ours(spec: base.RepositorySpec, found: Mapping[str, Any]) -> base.Repository:
    if spec.repository_id is not None:
        is_ours = str(found.get("id")) == spec.repository_id and not _is_of_another(spec, found)
    else:
        is_ours = str(found.get("description") or "").endswith(_mark(spec))
    if not is_ours:
        raise base.RepositoryTaken(
            f"The repository {spec.name} exists and is not this project's: rename or delete it on GitHub "
            "and try again, or begin a project with another name",
            details={"repository": spec.name},
        )
    return _repository(spec, found)


def _is_of_another(spec: base.RepositorySpec, found: Mapping[str, Any]) -> bool:
    """Tell whether a mark names another project; a description that people rewrote names none."""
    marked = marked_project(str(found.get("description") or ""))
    return marked is not None and marked != spec.project_id


def _repository(spec: base.RepositorySpec, found: Mapping[str, Any]) -> base.Repository:
    try:
        return base.Repository(
            id=str(int(found["id"])),
            name=str(found["name"]),  # as it is now: people may have renamed it
            default_branch=spec.default_branch,
            url=str(found["html_url"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise base.ForgeUnavailable("GitHub's repository has another form than expected") from error


def _listed(found: Mapping[str, Any]) -> ListedRepository:
    try:
        return ListedRepository(
            id=str(int(found["id"])),
            name=str(found["name"]),
            url=str(found["html_url"]),
            project_id=marked_project(str(found.get("description") or "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise base.ForgeUnavailable("GitHub's repository has another form than expected") from error


def _is_protected(read: Mapping[str, Any], checks: tuple[str, ...]) -> bool:
    required = read.get("required_status_checks") or {}
    enforced = read.get("enforce_admins") or {}
    return (
        required.get("strict") is True
        and set(required.get("contexts") or ()) == set(checks)
        and read.get("required_pull_request_reviews") is not None
        and enforced.get("enabled") is True
    )
