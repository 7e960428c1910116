"""What a Product Owner is told of its person's messages, and its words as messages; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from apps.bot import incoming
from apps.bot import presenters as words

#: Of one turn; what does not fit waits for the next one.
MAX_CHARACTERS: Final = 60_000
_CODE = re.compile(r"```(?:[\w+-]*\n)?(.+?)```|`([^`\n]+)`", re.DOTALL)
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One message, with what became of its files."""

    text: str
    stored: tuple[tuple[str, str], ...] = ()  # id, name
    missing: tuple[str, ...] = ()  # names

    @property
    def has_files(self) -> bool:
        """Whether something came along."""
        return bool(self.stored or self.missing)

    @property
    def prompt(self) -> str:
        """Return what the Product Owner reads of it."""
        lines = [self.text] if self.text else []
        lines += [f"[Attached file {words_of(name)}; its id is {row_id}]" for row_id, name in self.stored]
        lines += [f"[A file {words_of(name)} was sent and could not be taken over]" for name in self.missing]
        return "\n".join(lines)


def words_of(name: str) -> str:
    """Return a file's name as one quoted word."""
    return repr(" ".join(name.split())[:120])


def how_many(messages: Sequence[Said]) -> int:
    """Return how many of some messages go into one turn; at least one."""
    used = 0
    for index, message in enumerate(messages):
        used += len(message.prompt) + 2
        if used > MAX_CHARACTERS and index:
            return index
    return len(messages)


def join(messages: Sequence[Said]) -> str:
    """Return the prompt of one turn; what Telegram's programs cut is put together as it was written."""
    told = [message for message in messages if message.prompt]
    parts = [message.prompt + _between(message, later) for message, later in pairwise(told)]
    return "".join([*parts, *(message.prompt for message in told[-1:])])


def _between(earlier: Said, later: Said) -> str:
    if earlier.has_files or later.has_files or not incoming.may_go_on(earlier.text):
        return "\n\n"
    is_torn = incoming.units_of(earlier.text) >= incoming.CUT_UNITS
    if is_torn or earlier.text[-1:].isspace() or later.text[:1].isspace():
        return ""
    # At a better place than the last one there was white space, which programs leave out.
    return "\n"


def agent_html(text: str) -> str:
    """Return an agent's words as Telegram's HTML: of markup only code and bold are kept."""
    parts = []
    position = 0
    for code in _CODE.finditer(text):
        shown = (
            f"<pre>{words.text(code[1].strip())}</pre>" if code[1] else f"<code>{words.text(code[2])}</code>"
        )
        parts += [_plain_html(text[position : code.start()]), shown]
        position = code.end()
    return "".join([*parts, _plain_html(text[position:])])


def _plain_html(text: str) -> str:
    return _BOLD.sub(r"<b>\1</b>", words.text(text))
