"""Pull requests: one per branch and target, found again before it is opened."""

from collections.abc import Mapping
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors
from apps.projects.forge.github.mirrors import MirrorVerbs
from apps.projects.forge.github.transport import Answer, Request
from apps.projects.git_names import check_branch

_READ: Final[Mapping[str, str]] = {"pull_requests": "read"}
_WRITE: Final[Mapping[str, str]] = {"contents": "read", "pull_requests": "write"}
_TITLE: Final = 250
_BODY: Final = 65_000


class PullRequestVerbs(MirrorVerbs):
    """The verbs of pull requests but merging."""

    def open_pull_request(
        self, repository: base.Repository, spec: hosting.PullRequestSpec
    ) -> hosting.PullRequest:
        """See `Hosting.open_pull_request`.

        Raises:
            BranchNotFound: one of the branches is not there.
            ForgeRefused: there is nothing between them.

        """
        found = self._find(repository, spec)
        if found is None:
            answer = self._open(repository, spec)
            if answer.status == 201:
                return _pull_request(answer.mapping)
            # Somebody else may have opened it in between.
            found = self._find(repository, spec)
            if found is None:
                raise self._why_not_opened(repository, answer, spec)
        return self._described(repository, spec, found)

    def read_pull_request(self, repository: base.Repository, number: int) -> hosting.PullRequest:
        """See `Hosting.read_pull_request`."""
        answer = self._ask(
            repository,
            Request("GET", f"/pulls/{number}"),
            permissions=_READ,
            absent=hosting.PullRequestNotFound,
            conditional=True,
        )
        return _pull_request(answer.mapping)

    def close_pull_request(self, repository: base.Repository, number: int) -> hosting.PullRequest:
        """See `Hosting.close_pull_request`."""
        found = self.read_pull_request(repository, number)
        if found.state is not hosting.PullRequestState.OPEN:
            return found
        answer = self._change(repository, number, {"state": "closed"}, accept=(422,))
        if answer.status == 422:  # merged in between
            return self.read_pull_request(repository, number)
        return _pull_request(answer.mapping)

    def _find(self, repository: base.Repository, spec: hosting.PullRequestSpec) -> Mapping[str, Any] | None:
        """Return the newest pull request of the branch, whatever became of it."""
        head = f"{self._client.config.organisation}:{check_branch(spec.branch)}"
        entries = self._pages(
            repository,
            "/pulls",
            permissions=_READ,
            parameters={"state": "all", "head": head, "base": check_branch(spec.into)},
        )
        # A host that did not understand the filter answers with everything.
        ours = [entry for entry in entries if _branches(entry) == (spec.branch, spec.into)]
        return max(ours, key=lambda entry: int(entry.get("number", 0)), default=None)

    def _open(self, repository: base.Repository, spec: hosting.PullRequestSpec) -> Answer:
        body = {**_words(spec), "head": spec.branch, "base": spec.into, "maintainer_can_modify": False}
        request = Request("POST", "/pulls", body=body)
        return self._ask(repository, request, permissions=_WRITE, accept=(422,))

    def _why_not_opened(
        self, repository: base.Repository, answer: Answer, spec: hosting.PullRequestSpec
    ) -> OrchestratorError:
        said = answer.mapping.get("errors")
        entries = said if isinstance(said, list) else []
        fields = {entry.get("field") for entry in entries if isinstance(entry, dict)}
        for field, branch in (("head", spec.branch), ("base", spec.into)):
            if field in fields:
                return self._unseen(repository, branch)
        return errors.error_of(answer)

    def _described(
        self, repository: base.Repository, spec: hosting.PullRequestSpec, found: Mapping[str, Any]
    ) -> hosting.PullRequest:
        pull, words = _pull_request(found), _words(spec)
        has_words = found.get("title") == words["title"] and _lines(found.get("body")) == _lines(
            words["body"]
        )
        if pull.state is not hosting.PullRequestState.OPEN or has_words:
            return pull
        return _pull_request(self._change(repository, pull.number, words).mapping)

    def _change(
        self,
        repository: base.Repository,
        number: int,
        body: Mapping[str, Any],
        *,
        accept: tuple[int, ...] = (),
    ) -> Answer:
        return self._ask(
            repository,
            Request("PATCH", f"/pulls/{number}", body=body),
            permissions=_WRITE,
            absent=hosting.PullRequestNotFound,
            accept=accept,
        )


def _words(spec: hosting.PullRequestSpec) -> dict[str, str]:
    title = " ".join(spec.title.split())[:_TITLE] or spec.branch
    return {"title": title, "body": spec.body[:_BODY]}


def _lines(body: Any) -> list[str]:
    return str(body or "").strip().splitlines()


def _branches(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    return (entry.get("head") or {}).get("ref"), (entry.get("base") or {}).get("ref")


def _pull_request(data: Mapping[str, Any]) -> hosting.PullRequest:
    try:
        is_merged = bool(data.get("merged_at") or data.get("merged"))
        mergeable = data.get("mergeable")
        return hosting.PullRequest(
            number=int(data["number"]),
            url=str(data["html_url"]),
            state=_state(str(data["state"]), is_merged=is_merged),
            branch=str(data["head"]["ref"]),
            into=str(data["base"]["ref"]),
            head_sha=str(data["head"]["sha"]),
            merge_sha=str(data.get("merge_commit_sha") or "") if is_merged else "",
            conflicting=None if mergeable is None else mergeable is False,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise base.ForgeUnavailable("GitHub's pull request has another form than expected") from error


def _state(word: str, *, is_merged: bool) -> hosting.PullRequestState:
    if is_merged:
        return hosting.PullRequestState.MERGED
    return hosting.PullRequestState.OPEN if word == "open" else hosting.PullRequestState.CLOSED
