"""Merges: through a pull request where there is one, else by making the commit and moving the branch.

Whatever was asked, the mirror that is fetched afterwards says whether there is a
merge of this request. A refusal is judged by how things stand then, not by the
host's words, which differ from version to version.
"""

from typing import Final

from apps.errors import OrchestratorError
from apps.projects import objects
from apps.projects.forge import base, hosting, local_store
from apps.projects.forge.github import errors, mirrors
from apps.projects.forge.github.pull_requests import PullRequestVerbs
from apps.projects.forge.github.transport import Answer, Request
from apps.projects.git import Git
from apps.projects.git_names import check_branch, check_sha

_CANNOT_MERGE: Final = (405, 409, 422)


class MergeVerbs(PullRequestVerbs):
    """`Forge.merge` on GitHub."""

    def merge(self, repository: base.Repository, spec: base.MergeSpec) -> base.MergeResult:
        """See `Forge.merge`.

        Raises:
            PullRequestClosed: it was closed without being merged.
            PullRequestNotFound: there is none of that number.

        """
        base.check_request_id(spec.request_id)
        check_sha(spec.source_sha)
        with self._reading(repository) as git:
            head = _head(git, spec.into)
            done = _done(git, head, spec) or self._merged_by_others(repository, git, spec)
            if done is None:
                self._merge(repository, git, spec, head)
                self._fetch(repository, git)
                done = _done(git, _head(git, spec.into), spec)
        if done is None:
            raise base.ForgeUnavailable("The merge cannot be read back", details={"request": spec.request_id})
        return done

    def _merged_by_others(
        self, repository: base.Repository, git: Git, spec: base.MergeSpec
    ) -> base.MergeResult | None:
        """Return the merge of a pull request that a person merged as it was verified, or None.

        Raises:
            PullRequestClosed: it was closed.
            BranchMoved: it has another head.

        """
        if spec.pull_request is None:
            return None
        pull = self.read_pull_request(repository, spec.pull_request)
        details = {"pull_request": pull.number, "expected": spec.source_sha, "found": pull.head_sha}
        if pull.state is hosting.PullRequestState.CLOSED:
            raise hosting.PullRequestClosed(details=details)
        if pull.head_sha != spec.source_sha:
            raise base.BranchMoved("The pull request has another head", details=details)
        if pull.state is hosting.PullRequestState.OPEN:
            return None
        if not pull.merge_sha or not objects.has_commit(git, pull.merge_sha):
            raise base.ForgeUnavailable("The merge cannot be read back", details={"request": spec.request_id})
        return base.MergeResult(
            request_id=spec.request_id,
            sha=pull.merge_sha,
            base_sha=git.text("rev-parse", "--verify", f"{pull.merge_sha}^1"),
            source_sha=spec.source_sha,
        )

    def _merge(self, repository: base.Repository, git: Git, spec: base.MergeSpec, head: str) -> None:
        local_store.check_mergeable(git, spec, head)
        if spec.pull_request is not None:
            self._merge_pull_request(repository, git, spec)
            return
        sha = local_store.make_merge_commit(git, spec)
        permissions = mirrors.permissions_of(git, sha, known=frozenset({head, spec.source_sha}))
        try:
            self._send(repository, git, sha=sha, branch=spec.into, expected=head, permissions=permissions)
        except base.BranchMoved as error:
            self._fetch(repository, git)
            if _done(git, _head(git, spec.into), spec) is None:
                raise base.BaseMoved(details=error.details) from error

    def _merge_pull_request(self, repository: base.Repository, git: Git, spec: base.MergeSpec) -> None:
        title, _, rest = base.merge_message(spec.message, spec.request_id).partition("\n")
        known = frozenset({spec.expected_base})
        permissions = mirrors.permissions_of(git, spec.source_sha, known=known)
        body = {
            "sha": spec.source_sha,
            "merge_method": "merge",
            "commit_title": title,
            "commit_message": rest.strip(),
        }
        answer = self._ask(
            repository,
            Request("PUT", f"/pulls/{spec.pull_request}/merge", body=body),
            permissions={**permissions, "pull_requests": "write"},
            absent=hosting.PullRequestNotFound,
            accept=_CANNOT_MERGE,
        )
        if answer.status in _CANNOT_MERGE:
            self._fetch(repository, git)
            done = _done(git, _head(git, spec.into), spec)
            if done is None and self._merged_by_others(repository, git, spec) is None:
                raise self._why_not(repository, git, spec, answer)

    def _why_not(
        self, repository: base.Repository, git: Git, spec: base.MergeSpec, answer: Answer
    ) -> OrchestratorError:
        local_store.check_mergeable(git, spec, _head(git, spec.into))
        words = errors.words_of(answer)
        if "base branch was modified" in words.lower():  # and yet it is where it was: only for a moment
            return base.ForgeUnavailable(f"GitHub cannot merge yet: {words}")
        if self.read_pull_request(repository, spec.pull_request or 0).conflicting:
            return base.MergeConflict(details={"source": spec.source_sha, "base": spec.expected_base})
        return hosting.ForgeRefused(
            f"GitHub does not merge: {words}", details={"status": answer.status, "words": words}
        )


def _head(git: Git, branch: str) -> str:
    found = objects.branch_head(git, check_branch(branch))
    if found is None:
        raise base.BranchNotFound(details={"branch": branch})
    return found


def _done(git: Git, head: str, spec: base.MergeSpec) -> base.MergeResult | None:
    done = base.merge_of(local_store.merges(git, head), spec.request_id)
    if done is not None and done.source_sha != spec.source_sha:
        raise base.MergeRequestReused(details={"request": spec.request_id, "merged": done.source_sha})
    return done
