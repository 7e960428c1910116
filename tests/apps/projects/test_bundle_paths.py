"""Paths and links that must not be checked out."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.bundle_errors import UnsafePath
from apps.projects.bundle_paths import check_collisions, check_link, check_path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path", ["a", "app/main.py", "книги/список.md", ".gitignore", ".github/x", "a b", "git~x"]
)
def test_ordinary_path_passes(path: str) -> None:
    assert check_path(path.encode(), "100644") == path


@pytest.mark.parametrize(
    "path",
    ["/a", "a//b", "a/", "../a", "a/../b", "./a", ".git", ".GIT/x", ".git./x", ".git /x", "a/.git::$DATA",
     "GIT~1", "git~2/x", ".g\u200dit", "\uff0egit", "a\x00b", "a\nb", "a\\b", "a\u202eb"],
)  # fmt: skip
def test_dangerous_path_is_refused(path: str) -> None:
    with pytest.raises(UnsafePath) as refused:
        check_path(path.encode(), "100644")

    assert refused.value.details["rule"] in ("traversal", "git_directory", "characters")
    assert refused.value.details["file"].isprintable()


@pytest.mark.parametrize("mode", ["160000", "100600", "040000", "100664", ""])
def test_unknown_type_is_refused(mode: str) -> None:
    with pytest.raises(UnsafePath) as refused:
        check_path(b"a", mode)

    assert refused.value.details["rule"] in ("gitlink", "mode")


@given(st.binary(min_size=1, max_size=60))
def test_accepted_path_stays_inside(path: bytes) -> None:
    try:
        text = check_path(path, "100644")
    except UnsafePath:
        return

    assert posixpath.normpath(text) == text
    assert not text.startswith(("/", "../"))


@given(
    st.lists(st.sampled_from(["a", "b"]), max_size=3),
    st.lists(st.sampled_from(["..", ".", "a", "b", ""]), min_size=1, max_size=5),
)
def test_accepted_link_stays_inside(directory: list[str], target: list[str]) -> None:
    path = "/".join([*directory, "link"])
    text = "/".join(target)
    try:
        check_link(path, text.encode())
    except UnsafePath:
        return

    reached = posixpath.normpath(posixpath.join("/root", *directory, text))
    assert reached == "/root" or reached.startswith("/root/")


def test_link_through_another_link_cannot_climb() -> None:
    # `deep/up` leads to the root; `deep/up/..` looks like `deep` and is outside.
    check_link("deep/up", b"..")

    with pytest.raises(UnsafePath):
        check_link("deep/out", b"up/..")


def test_directories_that_collide_are_refused() -> None:
    check_collisions(["docs/a", "docs/b", "docs2/a"])

    with pytest.raises(UnsafePath) as refused:
        check_collisions(["docs/a", "Docs/b"])

    assert refused.value.details == {"file": "Docs", "rule": "case_collision"}
