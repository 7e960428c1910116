"""What the rehearsal Product Owner remembers between turns: one open matter, in its person's home.

The home outlives the worker, so the next worker goes on with the conversation.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from worker_image.contract import PO_SESSION_TTL_SECONDS

FILE: Final = ".rehearsal-owner.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """A matter that waits for an answer."""

    kind: str  # "build", "change" or "stop"
    text: str = ""  # the wish, without its answer
    language: str = "en"
    files: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)  # what the person chooses from → id
    tries: int = 0


def load(home: Path) -> Open | None:
    """Return the open matter; one that is a day old, or unreadable, is none."""
    try:
        record = json.loads((home / FILE).read_text(encoding="utf-8"))
        if time.time() - float(record.pop("at")) > PO_SESSION_TTL_SECONDS:
            return None
        return Open(**{**record, "files": tuple(record["files"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep(home: Path, matter: Open) -> None:
    """Remember a matter instead of whatever was open."""
    partial = home / f"{FILE}.partial"
    partial.write_text(json.dumps({**asdict(matter), "at": time.time()}), encoding="utf-8")
    partial.replace(home / FILE)


def forget(home: Path) -> None:
    """Close whatever is open."""
    (home / FILE).unlink(missing_ok=True)
