"""Titles and extractive summaries: a document's own words, chosen; pure."""

import re
from collections import Counter
from itertools import zip_longest
from typing import Final

TITLE_CHARACTERS: Final = 200
SUMMARY_CHARACTERS: Final = 600
_SENTENCES: Final = 3
#: Sentences beyond are not weighed: what matters stands at the beginning of a document.
_WEIGHED: Final = 400
_FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_UNDERLINE = re.compile(r"^(=+|-+|~+)\s*$")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$")
_DECORATION = re.compile(r"!\[[^\]]*\]\([^)]*\)|<!--.*?-->|<[^>]{1,200}>", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_BREAK = re.compile(r"(?<=[.!?…])\s+(?=[A-ZА-ЯЁ0-9«\"(`])")
_WORD = re.compile(r"[^\W\d_]{4,}")


def title_of(text: str, *, path: str) -> str:
    """Return the first heading of a document, else its path."""
    lines = text.splitlines()[:50]
    for line, below in zip_longest(lines, lines[1:], fillvalue=""):
        if (heading := _HEADING.match(line)) is not None:
            return _plain(heading[1])[:TITLE_CHARACTERS] or path[-TITLE_CHARACTERS:]
        if line.strip() and len(below.strip()) >= 3 and _UNDERLINE.match(below):
            return _plain(line)[:TITLE_CHARACTERS]
    return path[-TITLE_CHARACTERS:]


def summarise(text: str) -> str:
    """Return the sentences that say most of a document, in their order.

    A sentence weighs what its words weigh on average, a word what it is frequent
    in the document (H. P. Luhn, 1958, doi:10.1147/rd.22.0159); the first one always stays.
    """
    sentences = _sentences(text)
    if not sentences:
        return ""
    frequency = Counter(word for sentence in sentences for word in _words(sentence))
    weights = {number: _weight(sentence, frequency) for number, sentence in enumerate(sentences)}
    best = sorted(range(1, len(sentences)), key=lambda number: (-weights[number], number))
    chosen = sorted([0, *best[: _SENTENCES - 1]])
    return _bounded(" ".join(sentences[number] for number in chosen))


def _weight(sentence: str, frequency: Counter[str]) -> float:
    words = _words(sentence)
    # Very short sentences would win by one frequent word.
    return sum(frequency[word] for word in words) / max(len(words), 6)


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", _DECORATION.sub("", _FENCE.sub("", text))):
        lines = [line.strip() for line in paragraph.splitlines()]
        if not lines or any(_HEADING.match(line) or line.startswith("|") for line in lines):
            lines = [line for line in lines if not _HEADING.match(line) and not line.startswith("|")]
        if any(_UNDERLINE.match(line) for line in lines):
            continue
        prose = _plain(" ".join(re.sub(r"^([-*+>]|\d+[.)])\s+", "", line) for line in lines))
        found += [sentence for sentence in _BREAK.split(prose) if len(sentence) >= 20]
        if len(found) >= _WEIGHED:
            break
    return found[:_WEIGHED]


def _words(sentence: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(sentence)]


def _plain(words: str) -> str:
    return " ".join(_LINK.sub(r"\1", words).replace("**", "").replace("`", "").split())


def _bounded(text: str) -> str:
    if len(text) <= SUMMARY_CHARACTERS:
        return text
    return text[: SUMMARY_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
