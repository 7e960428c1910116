"""Secrets of a repository: all are checked before the first is sealed; nobody ever reads a value back."""

import re
from collections.abc import Mapping
from typing import Final

from github.PublicKey import encrypt

from apps.projects.forge import base, hosting
from apps.projects.forge.github.client import Verbs
from apps.projects.forge.github.transport import Request, segment

#: What GitHub takes: the limit of a value is its own, in bytes before sealing.
MAX_SECRETS: Final = 100
MAX_SECRET_BYTES: Final = 48 * 1024
_MAX_NAME: Final = 100
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RESERVED: Final = "GITHUB_"

_READ: Final[Mapping[str, str]] = {"secrets": "read"}
_WRITE: Final[Mapping[str, str]] = {"secrets": "write"}
_PATH: Final = "/actions/secrets"


class SecretVerbs(Verbs):
    """The verbs of secrets."""

    def put_secrets(self, repository: base.Repository, values: Mapping[str, str]) -> None:
        """See `Hosting.put_secrets`; a repeat writes the same names again."""
        check_values(values)
        if not values:
            return
        known = self._names(repository, _WRITE)
        if len(known | values.keys()) > MAX_SECRETS:
            raise hosting.SecretRefused(
                f"GitHub keeps at most {MAX_SECRETS} secrets of a repository: there are {len(known)}, and "
                f"{len(values.keys() - known)} would be added; delete some",
                details={"limit": MAX_SECRETS, "present": len(known)},
            )
        key = self._ask(repository, Request("GET", f"{_PATH}/public-key"), permissions=_WRITE).mapping
        for name, value in sorted(values.items()):
            body = {
                "encrypted_value": encrypt(str(key.get("key")), value),
                "key_id": str(key.get("key_id")),
            }
            request = Request("PUT", f"{_PATH}/{segment(name)}", body=body)
            self._ask(repository, request, permissions=_WRITE)

    def list_secrets(self, repository: base.Repository) -> frozenset[str]:
        """See `Hosting.list_secrets`."""
        return self._names(repository, _READ)

    def delete_secret(self, repository: base.Repository, name: str) -> None:
        """See `Hosting.delete_secret`."""
        if not _NAME.fullmatch(name):
            return
        request = Request("DELETE", f"{_PATH}/{segment(name)}")
        answer = self._ask(repository, request, permissions=_WRITE, accept=(404,))
        if answer.status == 404:
            absence = self._client.absence(repository)
            if absence is not None:
                raise absence

    def _names(self, repository: base.Repository, permissions: Mapping[str, str]) -> frozenset[str]:
        entries = self._pages(repository, _PATH, permissions=permissions, key="secrets")
        return frozenset(str(entry.get("name", "")) for entry in entries)


def check_values(values: Mapping[str, str]) -> None:
    """Refuse names and values that GitHub would refuse.

    Raises:
        SecretRefused: naming the secret, never the value.

    """
    for name, value in values.items():
        problem = _problem(name, value)
        if problem:
            raise hosting.SecretRefused(
                f"The secret {name[:_MAX_NAME]} {problem}", details={"field": name[:_MAX_NAME]}
            )


def _problem(name: str, value: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        return "has a name of other characters than A-Z, 0-9 and _, or a longer one than 100"
    if name.startswith(_RESERVED):
        return f"begins with {_RESERVED}, which GitHub keeps for itself"
    if not value:
        return "is empty, and GitHub stores no empty secret"
    if len(value.encode()) > MAX_SECRET_BYTES:
        return f"is larger than {MAX_SECRET_BYTES // 1024} KB; keep large values in a file of their own"
    return ""
