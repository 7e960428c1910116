"""A worker's commits on a newer base: the same words and authors, the same ids at every repetition."""

from pathlib import Path

import pytest

from apps.projects import rebase
from tests.fakes_forge import GitSource

pytestmark = pytest.mark.unit

BASE = {"a.txt": b"1\n2\n3\n4\n5\n6\n7\n8\n", "b.txt": b"b\n"}


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "work.git")


def author(source: GitSource, sha: str) -> str:
    return source.git.text("log", "-1", "--format=%an <%ae> %aI|%cn|%B", sha)


def show(source: GitSource, sha: str, path: str) -> bytes:
    return source.git.run("cat-file", "blob", f"{sha}:{path}").output


def test_commits_are_replayed_one_by_one_with_their_words(source: GitSource) -> None:
    base = source.commit_files(BASE)
    first = source.commit(source.files({**BASE, "c.txt": b"c\n"}), base, message="Add c\n")
    head = source.commit(source.files({**BASE, "c.txt": b"c2\n"}), first, message="Better c\n\nWhy: so.\n")
    onto = source.commit_files({**BASE, "b.txt": b"other\n"}, base)

    moved = rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)

    history = source.git.text("log", "--format=%s", f"{onto}..{moved}").splitlines()
    assert history == ["Better c", "Add c"]
    assert (show(source, moved, "b.txt"), show(source, moved, "c.txt")) == (b"other\n", b"c2\n")
    assert author(source, moved).split("|")[0] == author(source, head).split("|")[0]
    assert source.git.text("log", "-1", "--format=%B", moved) == "Better c\n\nWhy: so."


def test_repeated_replay_gives_the_same_commit(source: GitSource) -> None:
    base = source.commit_files(BASE)
    head = source.commit_files({**BASE, "c.txt": b"c\n"}, base)
    onto = source.commit_files({**BASE, "b.txt": b"other\n"}, base)

    first = rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)
    again = rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)

    assert first == again != head


def test_changes_of_different_lines_of_one_file_are_joined(source: GitSource) -> None:
    base = source.commit_files(BASE)
    head = source.commit_files({**BASE, "a.txt": BASE["a.txt"].replace(b"8", b"eight")}, base)
    onto = source.commit_files({**BASE, "a.txt": BASE["a.txt"].replace(b"1", b"one")}, base)

    moved = rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)

    assert show(source, moved, "a.txt") == b"one\n2\n3\n4\n5\n6\n7\neight\n"


def test_change_on_the_same_base_stays_as_it_is(source: GitSource) -> None:
    base = source.commit_files(BASE)
    head = source.commit_files({**BASE, "c.txt": b"c\n"}, base)

    assert rebase.replay(source.git, base_sha=base, head_sha=head, onto=base) == head


def test_conflict_names_the_paths(source: GitSource) -> None:
    base = source.commit_files(BASE)
    head = source.commit_files({**BASE, "b.txt": b"mine\n"}, base)
    onto = source.commit_files({**BASE, "b.txt": b"theirs\n"}, base)

    with pytest.raises(rebase.RebaseConflict) as refused:
        rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)

    assert refused.value.details == {"commit": head, "paths": ["b.txt"]}


def test_commit_that_is_in_the_base_already_is_left_out(source: GitSource) -> None:
    base = source.commit_files(BASE)
    first = source.commit_files({**BASE, "c.txt": b"c\n"}, base)
    head = source.commit_files({**BASE, "c.txt": b"c\n", "d.txt": b"d\n"}, first)
    onto = source.commit_files({**BASE, "b.txt": b"other\n", "c.txt": b"c\n"}, base)

    moved = rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)

    assert source.git.text("rev-list", "--count", f"{onto}..{moved}") == "1"


def test_change_that_is_wholly_in_the_base_is_refused(source: GitSource) -> None:
    base = source.commit_files(BASE)
    head = source.commit_files({**BASE, "c.txt": b"c\n"}, base)
    onto = source.commit_files({**BASE, "c.txt": b"c\n"}, base)

    with pytest.raises(rebase.RebaseEmpty):
        rebase.replay(source.git, base_sha=base, head_sha=head, onto=onto)
