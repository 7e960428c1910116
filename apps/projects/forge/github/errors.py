"""What refusals of GitHub mean, in the words of the port: each says whose move it is and what to do."""

import re
import time
from collections.abc import Mapping
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.projects.forge import hosting
from apps.projects.forge.base import ForgeUnavailable
from apps.projects.forge.github.transport import Answer
from apps.projects.git import redact

#: GitHub asks for at least a minute after a secondary limit that names no time.
SECONDARY_WAIT_SECONDS: Final = 60
_LONGEST_WAIT_SECONDS: Final = 3_600
_WORDS: Final = 500
_SECONDARY = re.compile(r"secondary rate limit|abuse detection|try again later|wait a few minutes", re.I)
_PLAN = re.compile(r"upgrade to|make this repository public", re.I)


def error_of(answer: Answer) -> OrchestratorError:
    """Return what an answer of 400 or more means where the verb has no better word for it."""
    wait = wait_of(answer)
    if wait is not None:
        return hosting.ForgeRateLimited(
            f"GitHub asks us to wait {wait} s", details={"retry_after": wait, "limit": "host"}
        )
    if answer.status == 401:
        return credential_invalid(words_of(answer))
    if answer.status == 403:
        return forbidden(answer)
    if answer.status >= 500 or 300 <= answer.status < 400:
        return ForgeUnavailable(f"GitHub answers {answer.status}", details={"status": answer.status})
    return hosting.ForgeRefused(
        f"GitHub refuses: {words_of(answer)}", details={"status": answer.status, "words": words_of(answer)}
    )


def wait_of(answer: Answer, *, now: float | None = None) -> int | None:
    """Return for how many seconds the host asks us to stay away, or None when it does not."""
    if answer.status not in (403, 429):
        return None
    told = _number(answer.headers.get("retry-after"))
    if told is not None:
        return _bounded(told)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(answer.headers.get("x-ratelimit-reset"))
        if reset is not None:
            return _bounded(reset - (time.time() if now is None else now) + 1)
    if answer.status == 429 or _SECONDARY.search(words_of(answer)):
        return SECONDARY_WAIT_SECONDS
    return None


def forbidden(answer: Answer) -> hosting.ForgeForbidden:
    """Return the error of a 403: naming the permission that lacks, where the host says it."""
    words, needed = words_of(answer), answer.headers.get("x-accepted-github-permissions", "")
    details: dict[str, Any] = {"status": 403, "words": words}
    if needed:
        details["permission"] = readable_permissions(needed)
    if _PLAN.search(words):
        return hosting.ForgeForbidden(
            f"The organisation's GitHub plan does not include this for private repositories: {words}",
            details=details,
        )
    if "not accessible by integration" in words.lower() and needed:
        return lacking_permission(details["permission"], details=details)
    return hosting.ForgeForbidden(f"GitHub refuses this to the app: {words}", details=details)


def lacking_permission(
    permission: str, *, details: Mapping[str, Any] | None = None
) -> hosting.ForgeForbidden:
    """Return the error that names a permission and says who can give it."""
    return hosting.ForgeForbidden(
        f"The GitHub app lacks the permission {permission}: grant it on the app's page (Permissions & "
        "events), then have an owner of the organisation accept the request",
        details={**(details or {}), "permission": permission},
    )


def readable_permissions(header: str) -> str:
    """Return ``contents=write; pull_requests=read,…`` as a sentence's words."""
    alternatives = [part.strip() for part in header.split(";") if part.strip()]
    wanted = [" and ".join(each.replace("=", ": ") for each in part.split(",")) for part in alternatives]
    return redact(" or ".join(wanted))[:_WORDS]


def credential_invalid(words: str) -> hosting.ForgeCredentialInvalid:
    """Return the error of a credential that the host does not accept."""
    return hosting.ForgeCredentialInvalid(
        f"GitHub does not accept the app's credential ({words}): check GITHUB_APP_ID, that the private key "
        "is one of this app's, and this machine's clock"
    )


def words_of(answer: Answer) -> str:
    """Return the host's own words: bounded, printable, without credentials."""
    data = answer.data if isinstance(answer.data, dict) else {}
    said = [str(data.get("message") or f"status {answer.status}")]
    errors = data.get("errors")
    for item in errors if isinstance(errors, list) else []:
        said.append(_detail(item) if isinstance(item, dict) else str(item))
    return redact("; ".join(part for part in said if part))[:_WORDS]


def _detail(item: Mapping[str, Any]) -> str:
    return str(item.get("message") or " ".join(str(item.get(key, "")) for key in ("field", "code")).strip())


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _bounded(seconds: float) -> int:
    return max(1, min(int(seconds), _LONGEST_WAIT_SECONDS))
