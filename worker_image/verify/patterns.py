"""Which paths are taken from the base, and which decide what an environment holds. Pure.

The rule is that of ``apps.projects.bundle_globs``, which refuses such changes
long before; a test keeps the two alike. It is repeated here because nothing in
a unit imports the control plane.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
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

#: What ``setup`` makes; a change that brings its own would bring its own test runner.
ENVIRONMENTS: Final = (".venv", "node_modules")

#: A change of one of these means that the environment of the base is not that of the change.
_DEPENDENCIES: Final = re.compile(
    r"(.*/)?([^/]*requirements[^/]*|requirements/.*|constraints[^/]*\.txt|pyproject\.toml|setup\.(py|cfg)"
    r"|pipfile|[^/]*\.lock|[^/]*lock\.(json|yaml)|package\.json|environment\.ya?ml|\.python-version|makefile)",
    re.IGNORECASE,
)


def with_shadows(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns and those of the files by which they could be overridden."""
    found: list[str] = []
    for pattern in patterns:
        directory, slash, name = pattern.rpartition("/")
        found.append(pattern)
        found += [f"{directory}{slash}{shadow}" for shadow in _SHADOWS.get(name.casefold(), ())]
    return tuple(dict.fromkeys(found))


def is_protected(patterns: Iterable[str], path: str, *, is_link: bool = False) -> bool:
    """Tell whether a path is one of, or in a directory of, the patterns; a link may stand for a directory."""
    return any(
        matches(pattern, path) or (is_link and _stands_for_directory(pattern, path)) for pattern in patterns
    )


def decides_dependencies(path: str) -> bool:
    """Tell whether a file may say what ``setup`` installs."""
    return _DEPENDENCIES.fullmatch(path) is not None


def matches(pattern: str, path: str) -> bool:
    """Tell whether a pattern matches a path or a directory it is in; letters' case does not count."""
    expected = _components(pattern)
    reached = _skip_stars(expected, {0})  # how many components of the pattern fit what was read so far
    for component in _components(path):
        step: set[int] = set()
        for at in reached - {len(expected)}:
            if expected[at] == "**":
                step.add(at)
                step |= {at + 1} if at + 1 == len(expected) else set()
            elif _expression(expected[at]).match(component):
                step.add(at + 1)
        reached = _skip_stars(expected, step)
        if len(expected) in reached:
            return bool(expected)
    return False


def _skip_stars(expected: list[str], reached: set[int]) -> set[int]:
    # `**` may stand for nothing, except at the end: `a/**` is what is in `a`.
    for at in range(len(expected) - 1):
        if at in reached and expected[at] == "**":
            reached = reached | {at + 1}
    return reached


@lru_cache(maxsize=1024)
def _expression(component: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(component.replace("[", "[[]")))


def _components(text: str) -> list[str]:
    return [part for part in text.casefold().split("/") if part]


def _stands_for_directory(protected: str, path: str) -> bool:
    below, above = _components(protected), _components(path)
    fixed = below.index("**") if "**" in below else len(below)
    if len(above) >= len(below) or len(above) > fixed:
        return False
    return all(_expression(pattern).match(part) for pattern, part in zip(below, above, strict=False))
