"""Takes a prompt apart: the task in the person's own words, and what went wrong last time."""

import re
from dataclasses import dataclass

_MODE = re.compile(r"^[ \t]*rehearsal:[ \t]*([a-z0-9:-]+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What the agent is asked."""

    task: str
    evidence: str | None = None  # why the previous attempt was not accepted
    mode: str | None = None  # a misbehavior, for tests


def parse(text: str) -> Prompt:
    """Find the marked sections; a prompt without them is all task."""
    marked = _section(text, "task")
    task = text if marked is None else marked
    mode = _MODE.search(task)
    return Prompt(
        task=_MODE.sub("", task).strip(),
        evidence=_section(text, "evidence"),
        mode=mode[1] if mode else None,
    )


def _section(text: str, name: str) -> str | None:
    """Return what stands between the first opening and the last closing line of a name."""
    match = re.search(rf"^[ \t]*<{name}>[ \t]*\n(.*)^[ \t]*</{name}>[ \t]*$", text, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else None
