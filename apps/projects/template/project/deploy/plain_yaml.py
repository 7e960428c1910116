"""Reads the part of YAML that project.yaml is written in, with nothing but the standard library.

Block mappings and lists, flow mappings and lists within one line, plain and quoted scalars, comments.
Anything else is refused, never guessed: a deployment that misread its contract would be worse than none.
"""

import json
import re
from typing import Any

_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):(?: +|$)")
_DISPUTED = re.compile(r"[0-9+-]|\.([0-9]|inf$|nan$)|(yes|no|on|off|true|false|null|y|n)$", re.IGNORECASE)
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None}


class NotPlain(ValueError):
    """The text is not written in this part of YAML."""


def parse(text: str) -> Any:
    """Return the value of a document.

    Raises:
        NotPlain: the message names the line.
    """
    lines = [
        (number, len(line) - len(line.lstrip(" ")), line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if any("\t" in line or line.startswith(("---", "...", "%")) for _, _, line in lines):
        raise NotPlain("tabs, directives and several documents are not plain")
    reader = _Blocks(lines)
    value = reader.block(0)
    reader.end()
    return value


class _Blocks:
    """Goes through the lines; each is (number, indent, text)."""

    def __init__(self, lines: list[tuple[int, int, str]]) -> None:
        self._lines = lines
        self._next = 0

    def end(self) -> None:
        if self._next < len(self._lines):
            raise NotPlain(f"line {self._lines[self._next][0]} is indented unexpectedly")

    def block(self, indent: int) -> Any:
        if self._next >= len(self._lines):
            raise NotPlain("the document ends too early")
        is_list = self._lines[self._next][2].startswith("- ")
        return self._list(indent) if is_list else self._mapping(indent)

    def _here(self, indent: int) -> tuple[int, str] | None:
        if self._next >= len(self._lines):
            return None
        number, found, text = self._lines[self._next]
        if found > indent:
            raise NotPlain(f"line {number} is indented unexpectedly")
        return (number, text) if found == indent else None

    def _list(self, indent: int) -> list[Any]:
        values = []
        while (here := self._here(indent)) is not None and here[1].startswith("- "):
            number, text = here
            inner = text[2:].lstrip()
            if _KEY.match(inner):
                # The item is a mapping whose first key stands behind the dash.
                inside = indent + len(text) - len(inner)
                self._lines[self._next] = (number, inside, inner)
                values.append(self._mapping(inside))
            else:
                self._next += 1
                values.append(_flow(inner, number))
        return values

    def _mapping(self, indent: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while (here := self._here(indent)) is not None and not here[1].startswith("- "):
            number, text = here
            match = _KEY.match(text)
            if match is None or match[1] in values:
                raise NotPlain(f"line {number} needs a key of its own")
            self._next += 1
            rest = text[match.end() :]
            values[match[1]] = self._nested(indent) if _is_empty(rest) else _flow(rest, number)
        if not values:
            raise NotPlain("a key is expected")
        return values

    def _nested(self, indent: int) -> Any:
        if self._next >= len(self._lines):
            return None
        _, found, text = self._lines[self._next]
        if found > indent or (found == indent and text.startswith("- ")):
            return self.block(found)
        return None


def _is_empty(rest: str) -> bool:
    return not rest.strip() or rest.lstrip().startswith("#")


def _flow(text: str, number: int) -> Any:
    reader = _Flow(text, number)
    value = reader.value()
    reader.end()
    return value


class _Flow:
    """Reads one value of one line."""

    def __init__(self, text: str, number: int) -> None:
        self._rest = text.strip()
        self._number = number
        self._depth = 0

    def end(self) -> None:
        if self._rest and not self._rest.startswith("#"):
            raise self._refusal()

    def value(self) -> Any:
        match self._rest[:1]:
            case "[":
                return self._list()
            case "{":
                return self._mapping()
            case '"':
                return self._quoted()
            case "'":
                return self._raw()
        return self._plain()

    def _list(self) -> list[Any]:
        values: list[Any] = []
        self._take("[")
        while not self._rest.startswith("]"):
            values.append(self.value())
            if not self._rest.startswith("]"):
                self._take(",")
        self._take("]")
        return values

    def _mapping(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._take("{")
        while not self._rest.startswith("}"):
            match = _KEY.match(self._rest)
            if match is None or match[1] in values:
                raise self._refusal()
            self._rest = self._rest[match.end() :]
            values[match[1]] = self.value()
            if not self._rest.startswith("}"):
                self._take(",")
        self._take("}")
        return values

    def _quoted(self) -> str:
        try:
            value, length = json.JSONDecoder().raw_decode(self._rest)
        except ValueError as error:
            raise self._refusal() from error
        self._skip(length)
        return str(value)

    def _raw(self) -> str:
        match = re.match(r"'((?:[^']|'')*)'", self._rest)
        if match is None:
            raise self._refusal()
        self._skip(match.end())
        return match[1].replace("''", "'")

    def _plain(self) -> Any:
        inside = r"[^,\[\]{}\"'#]+" if self._depth else r"[^#\"']+"
        match = re.match(inside, self._rest)
        word = match[0].strip() if match else ""
        if match is None or not re.match(r"[A-Za-z0-9_./~]", word) or ": " in word or word.endswith(":"):
            raise self._refusal()
        self._skip(match.end())
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if re.fullmatch(r"0|-?[1-9][0-9]*", word):
            return int(word)
        if _DISPUTED.match(word):
            raise self._refusal()  # other readers of YAML take these for something else than a text
        return word

    def _take(self, sign: str) -> None:
        if not self._rest.startswith(sign):
            raise self._refusal()
        self._depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(sign, 0)
        self._skip(1)

    def _skip(self, length: int) -> None:
        self._rest = self._rest[length:].lstrip()

    def _refusal(self) -> NotPlain:
        return NotPlain(f"line {self._number} is not plain at {self._rest[:30]!r}")
