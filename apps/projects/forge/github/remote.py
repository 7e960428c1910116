"""Git over HTTPS with GitHub: the token in the environment alone, refusals in the words of the port.

The environment of a child process is seen by its own account only; a command
line, a URL and a configuration file would be seen by more, or stay.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from apps.errors import OrchestratorError
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors
from apps.projects.forge.github.app import TokenRepositoryAbsent
from apps.projects.forge.github.client import Client, Verbs
from apps.projects.git import Git, GitFailed, GitLimitExceeded, GitLimits, GitOutputTooLarge

READ: Final[Mapping[str, str]] = {"contents": "read"}
WRITE: Final[Mapping[str, str]] = {"contents": "write"}
#: Without it GitHub refuses commits that change a file below .github/workflows.
WRITE_WORKFLOWS: Final[Mapping[str, str]] = {"contents": "write", "workflows": "write"}

TRANSFER_LIMITS: Final = GitLimits(timeout_seconds=120, cpu_seconds=120)
_SLOW: Final = ("http.lowSpeedLimit=1000", "http.lowSpeedTime=30")
_WAIT_SECONDS: Final = 60

_UNAUTHORIZED = re.compile(r"error: 401|Authentication failed|could not read (Username|Password)", re.I)
_ABSENT = re.compile(r"error: 404|[Rr]epository .*not found")
_LIMITED = re.compile(r"error: 429|rate limit", re.I)
_FORBIDDEN = re.compile(r"error: 403|[Pp]ermission to .* denied|Write access to repository not granted")
_WORKFLOWS = re.compile(r"without [`'\"]?workflows[`'\"]? permission|create or update workflow", re.I)
_PROTECTED = re.compile(r"GH006|GH013|protected branch|rule violations", re.I)
_REFUSED = re.compile(r"remote rejected|hook declined|GH\d{3}")
_REJECTED = re.compile(r"! \[(remote )?rejected\]|! \[remote failure\]")
_REMOTE_WORDS = re.compile(r"^remote: ?(.*)$", re.M)


class PushRejected(Exception):
    """The host, or git itself, moved no branch; the words are git's."""


class Remote(Verbs):
    """Runs git against repositories of ours on the host.

    Args:
        client: gives the tokens.
        mirrors: the directory of the mirrors.
        network: variables that git needs to reach the host: proxies, certificates.

    """

    def __init__(self, client: Client, *, mirrors: Path, network: Mapping[str, str] | None = None) -> None:
        super().__init__(client)
        self._mirrors = mirrors
        self._network = dict(network or {})

    def _git(
        self,
        repository: base.Repository,
        *arguments: str,
        permissions: Mapping[str, str],
        local: Path | None = None,
        inherited: tuple[int, ...] = (),
    ) -> bytes:
        """Run a git command that talks to the host, once more after a refused token.

        Args:
            repository: of ours.
            arguments: of git; the repository's address is where ``{url}`` stands.
            permissions: what the token must be good for.
            local: the bare repository on this side.
            inherited: descriptors that the child keeps open.

        Raises:
            PushRejected: a push was understood, and refused.
            RepositoryNotFound, RepositoryTaken: ours is gone, or its name is another's.
            ForgeForbidden, ForgeRefused, ForgeRateLimited, ForgeUnavailable: what the host said.

        """
        git = Git(repository=local, limits=TRANSFER_LIMITS, settings=_SLOW, inherited=inherited)
        url = self._client.config.repository_url(repository.name)
        command = [url if argument == "{url}" else argument for argument in arguments]
        scope = self._scope(repository, permissions)
        for _ in range(2):
            try:
                token = self._client.tokens.get(scope)
                return git.run(*command, environment=self._environment(token)).output
            except TokenRepositoryAbsent as error:
                raise self._client.out_of_reach(repository) from error
            except (GitLimitExceeded, GitOutputTooLarge):
                raise
            except GitFailed as error:
                words = str(error.details.get("output", error.message))
                if _REJECTED.search(words):
                    raise PushRejected(words) from error
                if not _UNAUTHORIZED.search(words):
                    raise self._meaning(repository, words) from error
                self._client.tokens.forget(scope, token)
        raise self._client.tokens.not_accepted()

    def _environment(self, token: str) -> dict[str, str]:
        origin = self._client.config.git_url
        credential = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        return {
            **self._network,
            "GIT_ALLOW_PROTOCOL": urlsplit(origin).scheme,
            "GIT_CONFIG_COUNT": "1",
            # Only below this address: a redirect to another host does not take it along.
            "GIT_CONFIG_KEY_0": f"http.{origin}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {credential}",
        }

    def _meaning(self, repository: base.Repository, words: str) -> OrchestratorError:
        if _LIMITED.search(words):
            details = {"retry_after": _WAIT_SECONDS, "limit": "host"}
            return hosting.ForgeRateLimited("GitHub asks git to wait", details=details)
        refused = refusal(words)
        if refused is not None:
            return refused
        if _ABSENT.search(words):
            return self._client.out_of_reach(repository)
        return base.ForgeUnavailable(f"GitHub did not answer git: {said(words)}")


def refusal(words: str) -> OrchestratorError | None:
    """Return what a refused push means, or None when it was no refusal of the host's."""
    if _WORKFLOWS.search(words):
        return errors.lacking_permission("workflows: write")
    if _PROTECTED.search(words):
        return hosting.ForgeRefused(f"The branch is protected: {said(words)}")
    if _FORBIDDEN.search(words):
        return hosting.ForgeForbidden(
            f"GitHub refuses this to git: {said(words)}", details={"permission": "contents: write"}
        )
    if _REFUSED.search(words):
        return hosting.ForgeRefused(f"GitHub refuses the commits: {said(words)}")
    return None


def refusal_of(rejected: PushRejected) -> OrchestratorError:
    """Return what a rejected push means when the branch had not moved."""
    words = str(rejected)
    return refusal(words) or base.ForgeUnavailable(f"GitHub did not take the push: {said(words)}")


def said(words: str) -> str:
    """Return what the host itself said in git's output, else all of it, in one bounded line."""
    remote = " ".join(line.strip() for line in _REMOTE_WORDS.findall(words))
    return " ".join((remote or words).split())[:500]
