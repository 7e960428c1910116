"""What bare repositories on this disk must do besides: survive its failures, and kills between two steps."""

import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from apps.projects import objects
from apps.projects.forge import base, local_store
from apps.projects.forge.local import LocalForge
from apps.projects.git import Git, GitLimits
from tests.conformance.forge_steps import SPEC, merge_spec, start
from tests.fakes_forge import GitSource

pytestmark = pytest.mark.unit


@pytest.fixture
def local(tmp_path: Path) -> LocalForge:
    return LocalForge(tmp_path / "forge", lock_timeout_seconds=0.2)


def test_missing_root_is_unavailable_not_empty(local: LocalForge, tmp_path: Path) -> None:
    repository = local.ensure_repository(SPEC)
    (tmp_path / "forge").rename(tmp_path / "unmounted")

    with pytest.raises(base.ForgeUnavailable):
        local.head(repository, "main")


def test_missing_root_of_a_recorded_repository_is_not_made_again(local: LocalForge, tmp_path: Path) -> None:
    repository = local.ensure_repository(SPEC)
    (tmp_path / "forge").rename(tmp_path / "unmounted")

    with pytest.raises(base.ForgeUnavailable):
        local.ensure_repository(replace(SPEC, repository_id=repository.id))

    assert not (tmp_path / "forge").exists()


def test_refused_move_into_place_keeps_its_reason(local: LocalForge, tmp_path: Path) -> None:
    (tmp_path / "forge").mkdir()
    (tmp_path / "forge" / "book-list.git").symlink_to("nowhere")

    with pytest.raises(base.ForgeUnavailable) as refused:
        local.ensure_repository(SPEC)

    assert refused.value.message == "The forge's directory refused: Not a directory"


def test_repository_that_came_first_stays(local: LocalForge) -> None:
    first = local.ensure_repository(SPEC)

    local_store.create(local.mirror(first), SPEC)

    assert local.ensure_repository(SPEC) == first


def test_damaged_repository_is_unavailable_not_empty(local: LocalForge, source: GitSource) -> None:
    repository, _, _ = start(local, source)
    (local.mirror(repository) / "HEAD").unlink()

    with pytest.raises(base.ForgeUnavailable):
        local.head(repository, "main")


def test_local_repository_is_private_and_says_what_it_is(local: LocalForge, tmp_path: Path) -> None:
    repository = local.ensure_repository(SPEC)
    path = local.mirror(repository)

    assert (tmp_path / "forge").stat().st_mode & 0o777 == 0o700
    assert (path / "description").read_text() == "Books\n"
    assert Git(repository=path).text("symbolic-ref", "HEAD") == "refs/heads/main"


def test_concurrent_creations_give_one_repository(local: LocalForge, tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(local.ensure_repository(SPEC).id)) for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 4
    assert len(set(found)) == 1
    assert [p.name for p in (tmp_path / "forge").iterdir()] == ["book-list.git"]


def test_push_that_died_after_storing_is_completed(local: LocalForge, source: GitSource) -> None:
    repository, first, _ = start(local, source)
    more = source.commit_files({"more": b""}, first)
    git = Git(repository=local.mirror(repository))
    local_store.store_commit(git, source=source.path, sha=more, limits=GitLimits())

    local.push(repository, source=source.path, sha=more, branch="task/2", expected=None)

    assert local.head(repository, "task/2") == more


def test_merge_that_died_before_moving_the_branch_is_completed(local: LocalForge, source: GitSource) -> None:
    repository, first, work = start(local, source)
    made = local_store.make_merge_commit(Git(repository=local.mirror(repository)), merge_spec(first, work))

    merged = local.merge(repository, merge_spec(first, work))

    assert merged.sha == made
    assert objects.branch_head(Git(repository=local.mirror(repository)), "main") == made


def test_lock_file_of_a_killed_git_does_not_block_its_branch(local: LocalForge, source: GitSource) -> None:
    repository, first, work = start(local, source)
    (local.mirror(repository) / "refs" / "heads" / "main.lock").touch()

    merged = local.merge(repository, merge_spec(first, work))

    assert local.head(repository, "main") == merged.sha


def test_busy_repository_is_unavailable(local: LocalForge, source: GitSource) -> None:
    repository, first, work = start(local, source)

    with (
        local_store.locked(local.mirror(repository), timeout_seconds=1),
        pytest.raises(base.ForgeUnavailable) as refused,
    ):
        local.merge(repository, merge_spec(first, work))

    assert refused.value.message == "The repository is busy"


def test_local_bundle_can_be_cloned(local: LocalForge, source: GitSource, tmp_path: Path) -> None:
    repository, first, _ = start(local, source)
    local.export_bundle(repository, branch="main", destination=tmp_path / "main.bundle")

    Git().run("clone", "--quiet", str(tmp_path / "main.bundle"), str(tmp_path / "clone"))

    assert Git(repository=tmp_path / "clone" / ".git").text("rev-parse", "HEAD") == first


def test_listing_of_a_missing_root_fails_and_is_not_empty(local: LocalForge, tmp_path: Path) -> None:
    with pytest.raises(base.ForgeUnavailable):
        local.list_repositories()


def test_repository_that_cannot_be_read_spoils_the_listing(local: LocalForge, tmp_path: Path) -> None:
    repository = local.ensure_repository(SPEC)
    (Path(urlsplit(repository.url).path) / "HEAD").unlink()

    with pytest.raises(base.ForgeUnavailable):
        local.list_repositories()


def test_stranger_in_the_root_is_listed_as_nobodys(local: LocalForge, tmp_path: Path) -> None:
    repository = local.ensure_repository(SPEC)
    objects.create_bare(Path(urlsplit(repository.url).path).parent / "stray.git")

    listed = {one.name: one for one in local.list_repositories()}

    assert listed["stray"].id == "path:stray"
    assert listed["stray"].project_id is None
