"""Asks GitHub: with the least token, within the limits, once more after a refused token, to the last page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apps.errors import NotFound, OrchestratorError
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors
from apps.projects.forge.github.app import Scope, TokenRepositoryAbsent, scope
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.limits import Limits
from apps.projects.forge.github.remembered import RememberedAnswers
from apps.projects.forge.github.tokens import Tokens
from apps.projects.forge.github.transport import PAGE_SIZE, Answer, Request, Transport, segment

#: No listing that we read is longer; one that is, is an error and not an end.
MAX_PAGES: Final = 50
#: For so long a new repository may be unknown to parts of the host.
_YOUNG: Final = timedelta(minutes=5)
_LOOK: Final = scope(metadata="read")


def limited_send(transport: Transport, limits: Limits, request: Request) -> Answer:
    """Send one request within the shared limits, and tell them what the answer says.

    Raises:
        ForgeRateLimited, ForgeUnavailable: see `Limits.call` and `Transport.send`.

    """
    with limits.call() as call:
        answer = transport.send(request)
        call.is_free = answer.status == 304
    limits.observe(answer)
    return answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Asks about one organisation's repositories."""

    config: GitHubConfig
    transport: Transport
    limits: Limits
    tokens: Tokens
    remembered: RememberedAnswers

    def ask(
        self, request: Request, *, scope: Scope, conditional: bool = False, accept: tuple[int, ...] = ()
    ) -> Answer:
        """Ask once, with one renewal of the token when the host refuses it.

        Args:
            request: without authorization.
            scope: what the token must be good for.
            conditional: ask whether the last answer has changed.
            accept: statuses of 300 and more that are answers to the caller.

        Raises:
            OrchestratorError: of `errors.error_of`, for every other status of 300 and more.
            ForgeUnavailable, ForgeCredentialInvalid: two tokens were refused, see `Tokens.not_accepted`.
            TokenRepositoryAbsent: the scope's repository is gone.

        """
        known = self.remembered.find(request.path, request.parameters) if conditional else None
        if known is not None:
            request = replace(request, headers={**request.headers, "If-None-Match": known.headers["etag"]})
        answer = self._authorized(request, scope)
        if answer.status == 304 and known is not None:
            return known
        if answer.status in accept:
            return answer
        if answer.status >= 300:
            raise errors.error_of(answer)
        if conditional:
            self.remembered.store(request.path, request.parameters, answer)
        return answer

    def repository_path(self, name: str) -> str:
        """Return the path of a repository."""
        return f"/repos/{segment(self.config.organisation)}/{segment(name)}"

    def look(self, name: str) -> Mapping[str, Any] | None:
        """Return what the host says about the repository that has this name now, or None."""
        path = self.repository_path(name)
        answer = self.ask(Request("GET", path), scope=_LOOK, conditional=True, accept=(404,))
        return None if answer.status == 404 else answer.mapping

    def absence(self, repository: base.Repository) -> OrchestratorError | None:
        """Return how a repository of ours is absent; None when it is there."""
        found = self.look(repository.name)
        if found is None:
            return base.RepositoryNotFound(details={"repository": repository.name})
        if str(found.get("id")) != repository.id:
            return base.RepositoryTaken(details={"repository": repository.name})
        return None

    def out_of_reach(self, repository: base.Repository) -> OrchestratorError:
        """Return why the host lets us do nothing with a repository of ours."""
        found = self.look(repository.name)
        if found is None:
            return base.RepositoryNotFound(details={"repository": repository.name})
        if str(found.get("id")) != repository.id:
            return base.RepositoryTaken(details={"repository": repository.name})
        if _is_young(found):
            return base.ForgeUnavailable(
                "GitHub has just made the repository and does not know it everywhere yet",
                details={"repository": repository.name},
            )
        return hosting.ForgeForbidden(
            f"The GitHub app may not use the repository {repository.name}: give its installation access to "
            "all repositories (organisation's settings → GitHub Apps → Configure)",
            details={"repository": repository.name},
        )

    def _authorized(self, request: Request, scope: Scope) -> Answer:
        for _ in range(2):
            token = self.tokens.get(scope)
            authorized = replace(request, authorization=f"Bearer {token}")
            answer = limited_send(self.transport, self.limits, authorized)
            if answer.status != 401:
                return answer
            self.tokens.forget(scope, token)
        raise self.tokens.not_accepted()


class Verbs:
    """What every group of verbs is made of: calls about one repository of ours.

    Args:
        client: asks the host.

    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def _scope(self, repository: base.Repository, permissions: Mapping[str, str]) -> Scope:
        """Return the scope of a token for one repository.

        Raises:
            RepositoryNotFound, RepositoryTaken: its id is none that the host gives.

        """
        if not repository.id.isdecimal():
            raise self._client.absence(repository) or base.RepositoryTaken(
                details={"repository": repository.name}
            )
        return scope(int(repository.id), **permissions)

    def _ask(
        self,
        repository: base.Repository,
        request: Request,
        *,
        permissions: Mapping[str, str],
        absent: type[NotFound] = base.RepositoryNotFound,
        conditional: bool = False,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        """Ask about a repository.

        Args:
            repository: of ours.
            request: its path is below the repository's, or a next page's whole address.
            permissions: what the call needs, and no more.
            absent: what a 404 means when the repository itself is there.
            conditional: ask whether the last answer has changed.
            accept: statuses of 300 and more that are answers to the caller.

        Raises:
            RepositoryNotFound, RepositoryTaken: ours is gone, or its name is another's.
            OrchestratorError: ``absent``, or of `errors.error_of`.

        """
        if not request.path.startswith("http"):
            request = replace(request, path=self._client.repository_path(repository.name) + request.path)
        try:
            answer = self._client.ask(
                request,
                scope=self._scope(repository, permissions),
                conditional=conditional,
                accept=(*accept, 404),
            )
        except TokenRepositoryAbsent as error:
            raise self._client.out_of_reach(repository) from error
        if answer.status == 404 and 404 not in accept:
            raise self._client.absence(repository) or absent(details={"repository": repository.name})
        return answer

    def _pages(
        self,
        repository: base.Repository,
        path: str,
        *,
        permissions: Mapping[str, str],
        key: str | None = None,
        parameters: Mapping[str, str] | None = None,
        absent: type[NotFound] = base.RepositoryNotFound,
        conditional: bool = False,
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the entries of a listing, page by page, to its end.

        Args:
            repository: of ours.
            path: of the first page.
            permissions: what the calls need.
            key: under which an answer holds its entries; None when it is the list itself.
            parameters: of the query.
            absent: what a 404 means when the repository itself is there.
            conditional: ask whether the first page has changed.

        Raises:
            ForgeUnavailable: there is no end within `MAX_PAGES`, or a page is no list.

        """
        page = Request("GET", path, parameters={**(parameters or {}), "per_page": str(PAGE_SIZE)})
        for _ in range(MAX_PAGES):
            answer = self._ask(
                repository, page, permissions=permissions, absent=absent, conditional=conditional
            )
            yield from entries_of(answer, key)
            if answer.next_page is None:
                return
            page = Request("GET", answer.next_page)
        raise base.ForgeUnavailable("A listing of GitHub's has no end", details={"pages": MAX_PAGES})


def _is_young(found: Mapping[str, Any]) -> bool:
    try:
        made = datetime.fromisoformat(str(found.get("created_at")))
        return datetime.now(UTC) - made < _YOUNG
    except (ValueError, TypeError):
        return False


def entries_of(answer: Answer, key: str | None) -> list[Mapping[str, Any]]:
    """Return the entries of a listing's page.

    Args:
        answer: the page.
        key: under which it holds them; None when it is the list itself.

    Raises:
        ForgeUnavailable: there is no list of objects.

    """
    entries = answer.data if key is None else answer.mapping.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise base.ForgeUnavailable("GitHub's listing has another form than expected")
    return entries
