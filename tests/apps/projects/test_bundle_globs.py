"""Which paths a pattern protects."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.bundle_globs import first_match, matches, with_shadows

pytestmark = pytest.mark.unit

PARTS = st.text("aAb.", min_size=1, max_size=3)
PATHS = st.lists(PARTS, min_size=1, max_size=4)
PATTERNS = st.lists(
    st.one_of(st.just("**"), st.text("aAb.*?", min_size=1, max_size=4)), min_size=1, max_size=4
)


def spelled_out(pattern: list[str], path: list[str]) -> bool:
    """The definition, without thought for time."""
    if not pattern:
        return True  # what is left of the path lies in the directory that matched
    if pattern[0] == "**":
        rest = pattern[1:]
        if not rest:
            return bool(path)
        return any(spelled_out(rest, path[count:]) for count in range(len(path) + 1))
    return bool(path) and same(pattern[0], path[0]) and spelled_out(pattern[1:], path[1:])


def same(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(same(pattern[1:], text[count:]) for count in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and same(pattern[1:], text[1:])


@given(PATTERNS, PATHS)
def test_matching_follows_its_definition(pattern: list[str], path: list[str]) -> None:
    folded = [part.casefold() for part in pattern], [part.casefold() for part in path]

    assert matches("/".join(pattern), "/".join(path)) == spelled_out(*folded)


@given(PATHS)
def test_path_protects_itself_and_what_is_in_it(path: list[str]) -> None:
    name = "/".join(path)

    assert matches(name, name)
    assert matches(name, f"{name}/below")
    assert matches("**", name)
    assert not matches(f"{name}/**", name)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("Makefile", "Makefile", True),
        ("Makefile", "makefile", True),
        ("Makefile", "app/Makefile", False),
        ("**/Makefile", "app/Makefile", True),
        ("**/Makefile", "Makefile", True),
        (".github/**", ".github/workflows/ci.yml", True),
        (".github/**", ".githubber/x", False),
        ("tests/*.py", "tests/test_a.py", True),
        ("tests/*.py", "tests/deep/test_a.py", False),
        ("tests/**/conftest.py", "tests/conftest.py", True),
        ("tests/**/conftest.py", "tests/a/b/conftest.py", True),
        ("[a]", "a", False),
    ],
)
def test_examples(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_hostile_pattern_costs_little() -> None:
    started = time.monotonic()

    found = matches("/".join(["**", "a*a*a*a*a*a*b"] * 15), "/".join(["a" * 200] * 40))

    assert not found
    assert time.monotonic() - started < 5


def test_link_in_place_of_a_protected_directory_is_found() -> None:
    patterns = (".github/**", "tests/unit/conftest.py")

    found = [first_match(patterns, path, is_link=True) for path in (".github", "tests", "tests/unit", "app")]

    assert found == [".github/**", "tests/unit/conftest.py", "tests/unit/conftest.py", None]
    assert first_match(patterns, "tests") is None


def test_shadows_stand_beside_what_they_override() -> None:
    patterns = with_shadows(("Makefile", "sub/Makefile", "other"))

    assert patterns == ("Makefile", "GNUmakefile", "sub/Makefile", "sub/GNUmakefile", "other")
