"""What the rehearsal Product Owner remembers between turns: one open matter, in its person's home.

The home outlives the worker, so the next worker goes on with the conversation.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from worker_image.contract import PO_SESSION_TTL_SECONDS, instruction_file

_CHAT: Final = re.compile(r"if you cannot tell, in (?P<name>\w+)")
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


def chat_language(home: Path) -> str:
    """Return the language of the person's chat as our orders name it; English if they do not."""
    for directory in (Path.cwd(), home):
        try:
            found = _CHAT.search((directory / instruction_file("rehearsal")).read_text(encoding="utf-8"))
        except OSError:
            continue
        if found is not None:
            return "ru" if found["name"] == "Russian" else "en"
    return "en"


def keep(home: Path, matter: Open) -> None:
    """Remember a matter instead of whatever was open."""
    partial = home / f"{FILE}.partial"
    partial.write_text(json.dumps({**asdict(matter), "at": time.time()}), encoding="utf-8")
    partial.replace(home / FILE)


def forget(home: Path) -> None:
    """Close whatever is open."""
    (home / FILE).unlink(missing_ok=True)
