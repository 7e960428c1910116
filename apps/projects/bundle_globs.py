"""Tells which changed paths are protected; pure.

A pattern is matched component by component: ``*`` and ``?`` stay inside one,
``**`` stands for any number of them. A pattern that names a directory protects
what is in it. Letters' case does not count, so that ``makefile`` is no way
around ``Makefile``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

#: Files that the tools prefer to, or read besides, a protected one in the same directory.
_SHADOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "makefile": ("GNUmakefile",),
    "pyproject.toml": (
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "setup.cfg",
        "ruff.toml",
        ".ruff.toml",
        "mypy.ini",
        ".mypy.ini",
        "uv.toml",
    ),
}


def with_shadows(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns and those of the files by which they could be overridden."""
    found: list[str] = []
    for pattern in patterns:
        directory, slash, name = pattern.rpartition("/")
        found.append(pattern)
        found += [f"{directory}{slash}{shadow}" for shadow in _SHADOWS.get(name.casefold(), ())]
    return tuple(dict.fromkeys(found))


def first_match(patterns: Iterable[str], path: str, *, is_link: bool = False) -> str | None:
    """Return the first pattern that protects a path, or None.

    Args:
        patterns: from the manifest.
        path: of a changed file, from the root, with ``/``.
        is_link: the path is a symbolic link now; it must not stand in for a protected directory.

    """
    for pattern in patterns:
        if matches(pattern, path) or (is_link and _stands_for_directory(pattern, path)):
            return pattern
    return None


def matches(pattern: str, path: str) -> bool:
    """Tell whether a pattern matches a path or a directory it is in."""
    return _match(_components(pattern), _components(path))


def _components(text: str) -> list[str]:
    return [part for part in text.casefold().split("/") if part]


def _match(pattern: Sequence[str], path: Sequence[str]) -> bool:
    # reached[i]: the first i components of the pattern fit the path read so far.
    reached = _skip_stars(pattern, [True] + [False] * len(pattern))
    for component in path:
        step = [False] * (len(pattern) + 1)
        for index, expected in enumerate(pattern):
            if reached[index] and expected == "**":
                step[index] = True
                step[index + 1] |= index + 1 == len(pattern)
            elif reached[index] and _match_component(expected, component):
                step[index + 1] = True
        reached = _skip_stars(pattern, step)
        if reached[-1]:
            return True  # the path itself, or a directory above it
    return False


def _skip_stars(pattern: Sequence[str], reached: list[bool]) -> list[bool]:
    # `**` may stand for nothing, except at the end: `a/**` is what is in `a`.
    for index, expected in enumerate(pattern[:-1]):
        if reached[index] and expected == "**":
            reached[index + 1] = True
    return reached


def _match_component(pattern: str, text: str) -> bool:
    # Greedy with one step back to the last star: linear in practice, never exponential.
    at, star, resume, position = 0, -1, 0, 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def _stands_for_directory(pattern: str, path: str) -> bool:
    below, above = _components(pattern), _components(path)
    fixed = below.index("**") if "**" in below else len(below)
    if len(above) >= len(below) or len(above) > fixed:
        return False
    return all(map(_match_component, below, above))
