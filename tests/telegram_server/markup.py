"""Telegram's HTML: what it accepts, what remains visible, and its words for what it refuses."""

import html
import re
from typing import Final

_BOLD_AND_SUCH: Final = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler"}
TAGS: Final = frozenset({*_BOLD_AND_SUCH, "tg-emoji", "a", "code", "pre", "blockquote"})
_TOKEN: Final = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z0-9-]*)(?P<rest>[^>]*)(?P<close>>?)")
_ENTITY: Final = re.compile(r"&(?:lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});")


class BadMarkup(ValueError):
    """The text cannot be parsed; the message is Telegram's."""


def visible(text: str) -> str:
    """Return what a person reads, or refuse as Telegram does."""
    shown: list[str] = []
    open_tags: list[str] = []
    position = 0
    for found in _TOKEN.finditer(text):
        shown.append(_decoded(text[position : found.start()]))
        position = found.end()
        _step(found, open_tags, _offset(text, found.start()))
    shown.append(_decoded(text[position:]))
    if open_tags:
        raise BadMarkup(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return "".join(shown)


def _step(found: "re.Match[str]", open_tags: list[str], offset: int) -> None:
    name = found["name"].lower()
    if not found["close"]:
        kind = "end" if found["end"] else "start"
        raise BadMarkup(f"Unclosed {kind} tag at byte offset {offset}")
    if not found["end"]:
        if name not in TAGS:
            raise BadMarkup(f'Unsupported start tag "{name}" at byte offset {offset}')
        if name == "span" and 'class="tg-spoiler"' not in found["rest"]:
            raise BadMarkup(f'Tag "span" must have class "tg-spoiler" at byte offset {offset}')
        open_tags.append(name)
        return
    if not open_tags:
        raise BadMarkup(f"Unexpected end tag at byte offset {offset}")
    expected = open_tags.pop()
    if name not in ("", expected):
        words = f'expected "</{expected}>", found "</{name}>"'
        raise BadMarkup(f"Unmatched end tag at byte offset {offset}, {words}")


def _offset(text: str, position: int) -> int:
    return len(text[:position].encode())


def _decoded(text: str) -> str:
    # Other entities stay as they are written.
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text)


def units(text: str) -> int:
    """Return the length that Telegram counts: UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2
