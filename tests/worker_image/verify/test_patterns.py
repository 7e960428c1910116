"""The driver protects what the control plane protects."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects import bundle_globs
from worker_image.verify import patterns

pytestmark = pytest.mark.unit

PATHS = st.lists(st.text("aAb.[", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(
    st.one_of(st.just("**"), st.text("aAb.[*?", min_size=1, max_size=4)), min_size=1, max_size=4
).map("/".join)


@given(PATTERNS, PATHS, st.booleans())
def test_same_paths_are_protected_as_in_the_control_plane(pattern: str, path: str, is_link: bool) -> None:
    expected = bundle_globs.first_match([pattern], path, is_link=is_link) is not None

    assert patterns.is_protected([pattern], path, is_link=is_link) == expected


def test_same_files_shadow_a_protected_one() -> None:
    protected = ("Makefile", "sub/pyproject.toml", "other")

    assert patterns.with_shadows(protected) == bundle_globs.with_shadows(protected)


def test_hostile_path_costs_little() -> None:
    began = time.monotonic()

    found = patterns.matches("/".join(["**", "a*a*a*a*a*a*b"] * 15), "/".join(["a" * 200] * 40))

    assert not found
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("requirements.txt", True),
        ("requirements/dev.txt", True),
        ("services/web/requirements-dev.in", True),
        ("uv.lock", True),
        ("package-lock.json", True),
        ("pyproject.toml", True),
        ("Makefile", True),
        ("app/main.py", False),
        ("tests/test_lock.py", False),
    ],
)
def test_files_that_decide_what_is_installed(path: str, expected: bool) -> None:
    assert patterns.decides_dependencies(path) is expected
