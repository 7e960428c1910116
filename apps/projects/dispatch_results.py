"""What a workflow that has ended left behind: log, address, images; all of it a stranger's words."""

from collections.abc import Mapping
from typing import Any, Final

from apps.projects.forge.base import Repository
from apps.projects.forge.hosting import Hosting, WorkflowRun
from apps.projects.models import Dispatch
from apps.projects.workspace import known_repository

LOG_BYTES: Final = 16_384
EXCERPT_CHARACTERS: Final = 8_000
_WORD_CHARACTERS: Final = 200
_IMAGES: Final = 20


def read_log(host: Hosting, repository: Repository, run: WorkflowRun) -> dict[str, str] | None:
    """Return where a run failed; None when no step says so or the log is gone: the outcome stands without.

    Raises:
        Unavailable: the host cannot be asked.

    """
    log = host.read_log(repository, run.id, limit=LOG_BYTES)
    if log is None:
        return None
    return {
        "job": _line(log.job),
        "step": _line(log.step),
        "excerpt": _text(log.excerpt)[-EXCERPT_CHARACTERS:],
    }


def read_result(host: Hosting, row: Dispatch) -> dict[str, Any]:
    """Return the columns of a run that ended well: the address and the images it reported.

    A deployment of the same commit by another run is not its own; one that says
    nothing of runs may be.

    Raises:
        Unavailable: the host cannot be asked.

    """
    found = host.read_deployment(known_repository(row.project), sha=row.sha, environment=row.environment)
    if found is None or found.state != "success":
        return {"url": "", "images": {}}
    told = found.payload.get("correlation")
    if told not in (None, "", str(row.pk)):
        return {"url": "", "images": {}}
    return {"url": _line(found.url, limit=500), "images": _images(found.payload.get("images"))}


def _images(told: Any) -> dict[str, str]:
    if not isinstance(told, Mapping):
        return {}
    pairs = list(told.items())[:_IMAGES]
    return {_line(str(name)): _line(str(digest)) for name, digest in pairs}


def _line(text: str, *, limit: int = _WORD_CHARACTERS) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:limit]


def _text(text: str) -> str:
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "\ufffd" for letter in text)
