"""Deployments as a project's own workflow reports them: words of a project, so bounded and checked."""

import json
from collections.abc import Mapping
from typing import Any, Final

from apps.projects.forge import base, hosting
from apps.projects.forge.github.client import Verbs
from apps.projects.forge.github.transport import Request
from apps.projects.git_names import check_sha

_READ: Final[Mapping[str, str]] = {"deployments": "read"}
_PAYLOAD_BYTES: Final = 16_384
_URL: Final = 500


class DeploymentVerbs(Verbs):
    """`Hosting.read_deployment`."""

    def read_deployment(
        self, repository: base.Repository, *, sha: str, environment: str
    ) -> hosting.HostDeployment | None:
        """See `Hosting.read_deployment`."""
        parameters = {"sha": check_sha(sha), "environment": environment, "per_page": "100"}
        request = Request("GET", "/deployments", parameters=parameters)
        answer = self._ask(repository, request, permissions=_READ, conditional=True)
        found = [entry for entry in _listing(answer.data) if entry.get("sha") == sha]
        newest = _newest(found)
        if newest is None:
            return None
        path = f"/deployments/{int(newest['id'])}/statuses"
        request = Request("GET", path, parameters={"per_page": "100"})
        statuses = self._ask(repository, request, permissions=_READ, conditional=True)
        status = _newest(_listing(statuses.data)) or {}
        return hosting.HostDeployment(
            sha=sha,
            environment=environment,
            state=str(status.get("state") or "pending")[:40],
            url=_address(status.get("environment_url")),
            log_url=_address(status.get("log_url")),
            payload=payload_of(newest.get("payload")),
        )


def payload_of(value: Any) -> Mapping[str, Any]:
    """Return a deployment's payload: the host gives an object or its text, as it was posted."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if len(value) <= _PAYLOAD_BYTES else None
        except (ValueError, RecursionError):
            return {}
    if not isinstance(value, dict) or len(json.dumps(value)) > _PAYLOAD_BYTES:
        return {}
    return value


def _listing(data: Any) -> list[Mapping[str, Any]]:
    if not isinstance(data, list):
        raise base.ForgeUnavailable("GitHub's listing has another form than expected")
    return [entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("id"), int)]


def _newest(entries: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return max(entries, key=lambda entry: int(entry["id"]), default=None)


def _address(value: Any) -> str:
    text = str(value or "")
    is_plain = text.startswith(("http://", "https://")) and len(text) <= _URL and text.isprintable()
    return text if is_plain and " " not in text else ""
