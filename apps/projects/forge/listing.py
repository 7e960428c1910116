"""What a git host lists."""

import re
from dataclasses import dataclass

_MARK = re.compile(r"\[codegen:([^\]]{1,100})\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRepository:
    """A repository that the host lists, whoever made it."""

    id: str  # given by the host, never reused
    name: str  # as it is now
    url: str
    project_id: str | None  # whom its mark names; None: nobody, or people have rewritten it


def marked_project(description: str) -> str | None:
    """Return the project that the mark at the end of a description names, or None."""
    found = _MARK.search(description)
    return found[1] if found else None
