"""Long texts in Telegram's HTML, as several messages of which each is complete markup; pure."""

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

#: Telegram counts UTF-16 units of what is visible, up to 4,096; the rest is for marks of our own.
MESSAGE_UNITS: Final = 4_000
#: Nobody reads more messages in a row.
MAX_PARTS: Final = 25
ELLIPSIS: Final = "…"

_ATOM: Final = re.compile(
    r"(?P<tag><(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*)[^<>]*>)"
    r"|(?P<entity>&(?:lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});)"
    r"|(?P<char>.)",
    re.DOTALL,
)
_JOINER: Final = "\u200d"
#: Where a text is best cut, best first; what stands there is left out.
_BREAKS: Final = ("\n\n", "\n", " ")
#: A cut that leaves less of a message than this is not worth its better place.
_LEAST_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Atom:
    raw: str
    char: str = ""  # what is visible of it: nothing of a tag
    name: str = ""
    is_end: bool = False

    @property
    def units(self) -> int:
        return len(self.char.encode("utf-16-le", "replace")) // 2


def split(text: str, *, units: int = MESSAGE_UNITS, parts: int = MAX_PARTS) -> list[str]:
    """Cut a text at paragraphs, lines or words, so that every part fits into one message.

    Args:
        text: Telegram's HTML; broken markup stays broken, in some part.
        units: how many UTF-16 units a person may see of one part.
        parts: how many there may be; a text that needs more ends with an ellipsis.

    """
    atoms, start = list(_atoms(text)), 0
    open_tags: list[_Atom] = []
    found: list[str] = []
    while start < len(atoms):
        end, following = _cut(atoms, start, units)
        is_cut_off = following < len(atoms) and len(found) + 1 == parts
        found.append(_part(atoms[start:end], open_tags, ELLIPSIS if is_cut_off else ""))
        if is_cut_off:
            break
        start = following
    return [part for part in found if plain(part).strip()] or [text]


def shorten(text: str, *, units: int = MESSAGE_UNITS) -> str:
    """Return as much of a text as fits into one message, and an ellipsis if that is not all."""
    return split(text, units=units, parts=1)[0]


def plain(text: str) -> str:
    """Return what a person sees of a text, without any markup."""
    return "".join(atom.char for atom in _atoms(text))


def _atoms(text: str) -> Iterator[_Atom]:
    for found in _ATOM.finditer(text):
        raw = found[0]
        if found["tag"]:
            yield _Atom(raw, name=found["name"].lower(), is_end=bool(found["end"]))
        else:
            yield _Atom(raw, char=html.unescape(raw) if found["entity"] else raw)


def _cut(atoms: list[_Atom], start: int, units: int) -> tuple[int, int]:
    """Return where a part ends, and where the next one begins."""
    used, end = 0, start
    while end < len(atoms) and used + atoms[end].units <= units:
        used += atoms[end].units
        end += 1
    if end == len(atoms):
        return end, end
    least = start + int((end - start) * _LEAST_SHARE)
    for wanted in _BREAKS:
        for place in range(end - len(wanted) + 1, least, -1):
            if "".join(atom.char for atom in atoms[place : place + len(wanted)]) == wanted:
                return place, place + len(wanted)
    return (_between_characters(atoms, start, end),) * 2


def _between_characters(atoms: list[_Atom], start: int, end: int) -> int:
    """Return the last place that does not tear a sign from its accents, or an emoji apart."""
    for place in range(end, start, -1):
        if not (_hangs_on(atoms[place].char) or atoms[place - 1].char == _JOINER):
            return place
    return end


def _hangs_on(char: str) -> bool:
    is_mark = bool(char) and unicodedata.category(char[0]) in ("Mn", "Me", "Mc")
    return is_mark or char == _JOINER or "\U0001f3fb" <= char <= "\U0001f3ff"


def _part(atoms: list[_Atom], open_tags: list[_Atom], ending: str) -> str:
    """Write a part that opens what was open before it, and closes what is open after it."""
    opening = "".join(tag.raw for tag in open_tags)
    for tag in atoms:
        if tag.name and not tag.is_end:
            open_tags.append(tag)
        elif tag.name and open_tags and open_tags[-1].name == tag.name:
            open_tags.pop()
    closing = "".join(f"</{tag.name}>" for tag in reversed(open_tags))
    return opening + "".join(atom.raw for atom in atoms) + ending + closing
