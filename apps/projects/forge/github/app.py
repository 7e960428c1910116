"""The GitHub app itself: proves who it is, finds its installation, and is given tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import jwt
from github.Auth import AppAuth

from apps.errors import OrchestratorError
from apps.projects.forge import hosting
from apps.projects.forge.base import ForgeUnavailable
from apps.projects.forge.github import errors
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.transport import Answer, Request, segment

#: What the app must be granted for every verb to work; `metadata: read` comes with any of them.
REQUIRED_PERMISSIONS: Final[Mapping[str, str]] = {
    "actions": "write",
    "administration": "write",
    "checks": "read",
    "contents": "write",
    "deployments": "read",
    "metadata": "read",
    "pull_requests": "write",
    "secrets": "write",
    "workflows": "write",
}
_RANK: Final = {"": 0, "read": 1, "write": 2, "admin": 3}


class TokenRepositoryAbsent(Exception):
    """The app's installation knows no repository of that id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What a token is good for: one repository or all of them, and nothing but these permissions."""

    permissions: tuple[tuple[str, str], ...]  # names with read or write, in order of name
    repository_id: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """An installation token."""

    value: str = field(repr=False)
    expires_at: datetime


def scope(repository_id: int | None = None, **permissions: str) -> Scope:
    """Return a scope, its permissions given as ``contents="write"``."""
    return Scope(permissions=tuple(sorted(permissions.items())), repository_id=repository_id)


class App:
    """The app's own calls; nothing is remembered here.

    Args:
        config: whose app.
        send: carries the requests, under the shared limits or not.

    """

    def __init__(self, config: GitHubConfig, send: Callable[[Request], Answer]) -> None:
        self._config = config
        self._send = send

    def read(self) -> str:
        """Return the app's name at the host: proves its id and key.

        Raises:
            ForgeCredentialInvalid: the host does not accept them.

        """
        answer = self._get("/app")
        if answer.status != 200:
            raise self._refused(answer)
        return str(answer.mapping.get("slug") or answer.mapping.get("name") or self._config.app_id)

    def installation(self) -> int:
        """Return the id of the app's installation in the organisation.

        Raises:
            AppNotInstalled, OrganisationNotFound, ForgeCredentialInvalid: each says what to do.

        """
        if not self._config.organisation:
            raise hosting.OrganisationNotFound("The GitHub organisation is not set: set GITHUB_ORG")
        path = f"/orgs/{segment(self._config.organisation)}/installation"
        answer = self._get(path)
        if answer.status == 404:
            raise self._not_installed()
        if answer.status != 200:
            raise self._refused(answer)
        if answer.mapping.get("suspended_at"):
            raise hosting.AppNotInstalled(
                f"The app's installation in {self._config.organisation} is suspended: an owner of the "
                "organisation has to unsuspend it (Settings → GitHub Apps)"
            )
        return int(answer.mapping["id"])

    def granted(self, installation: int) -> dict[str, str]:
        """Return the permissions that the organisation has granted to the app."""
        answer = self._get(f"/app/installations/{installation}")
        if answer.status != 200:
            raise self._refused(answer)
        found = answer.mapping.get("permissions")
        return {str(name): str(level) for name, level in found.items()} if isinstance(found, dict) else {}

    def mint(self, installation: int, wanted: Scope) -> Token:
        """Return a new token of exactly this scope; it lives for an hour.

        Raises:
            TokenRepositoryAbsent: the repository is gone, or out of the app's reach.
            ForgeForbidden: naming the permission that the organisation has not granted.
            AppNotInstalled: the installation is gone or suspended.

        """
        body: dict[str, Any] = {"permissions": dict(wanted.permissions)}
        if wanted.repository_id is not None:
            body["repository_ids"] = [wanted.repository_id]
        path = f"/app/installations/{installation}/access_tokens"
        answer = self._send(Request("POST", path, authorization=self._authorization(), body=body))
        if answer.status == 201:
            return _token(answer.mapping)
        if answer.status == 404:
            raise hosting.AppNotInstalled(self._install_words())
        if answer.status == 422:
            self._explain(installation, wanted)
        raise self._refused(answer)

    def _explain(self, installation: int, wanted: Scope) -> None:
        """Raise what a refused scope means; the host's own words differ from version to version."""
        lacking = lacking_of(dict(wanted.permissions), self.granted(installation))
        if lacking:
            raise errors.lacking_permission(" and ".join(lacking))
        if wanted.repository_id is not None:
            raise TokenRepositoryAbsent

    def _not_installed(self) -> OrchestratorError:
        name = self._config.organisation
        answer = self._send(Request("GET", f"/orgs/{segment(name)}"))
        if answer.status == 404:
            return hosting.OrganisationNotFound(
                f"GitHub knows no organisation named {name}: correct GITHUB_ORG (an account is not enough)",
                details={"organisation": name},
            )
        return hosting.AppNotInstalled(self._install_words(), details={"organisation": name})

    def _install_words(self) -> str:
        return (
            f"The GitHub app {self._config.app_id} is not installed in {self._config.organisation}: install "
            "it from its page (Install App), for all repositories, or correct GITHUB_ORG or GITHUB_APP_ID"
        )

    def _refused(self, answer: Answer) -> OrchestratorError:
        if answer.status == 403 and "suspended" in errors.words_of(answer).lower():
            return hosting.AppNotInstalled(f"The app's installation is suspended: {errors.words_of(answer)}")
        if answer.status == 404:
            return errors.credential_invalid(errors.words_of(answer))
        return errors.error_of(answer)

    def _get(self, path: str) -> Answer:
        return self._send(Request("GET", path, authorization=self._authorization()))

    def _authorization(self) -> str:
        try:
            return f"Bearer {AppAuth(self._config.app_id, self._config.pem).token}"
        except (jwt.PyJWTError, ValueError, TypeError, AssertionError) as error:
            raise errors.credential_invalid("the private key or the app's id cannot be used") from error


def lacking_of(wanted: Mapping[str, str], granted: Mapping[str, str]) -> list[str]:
    """Return the permissions that are wanted and not granted, as ``name: level``."""
    return [
        f"{name}: {level}"
        for name, level in wanted.items()
        if _RANK.get(granted.get(name, ""), 0) < _RANK.get(level, 1)
    ]


def _token(data: Mapping[str, Any]) -> Token:
    try:
        expires_at = datetime.fromisoformat(str(data["expires_at"]))
        value = str(data["token"])
    except (KeyError, ValueError) as error:
        raise ForgeUnavailable("GitHub's token has another form than expected") from error
    return Token(value=value, expires_at=expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC))
