"""The package cache as a verification sees it: made of links, its own, and only where it helps."""

import os
from pathlib import Path

import pytest

from worker_image.verify.packages import PackageCache

pytestmark = pytest.mark.unit


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one package, as uv lays it out."""
    source = tmp_path / "source"
    module = source / "archive-v0" / "id" / "books" / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("content")
    wheels = source / "wheels-v8" / "index" / "my-books"
    wheels.mkdir(parents=True)
    (wheels / "1.2.3-py3-none-any").symlink_to("../../../archive-v0/id")
    (wheels / "1.2.3-py3-none-any.http").write_text("pointer")
    return source


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "requirements").mkdir(parents=True)
    return directory


def make(source: Path | None, tmp_path: Path) -> PackageCache:
    return PackageCache(source, memory=tmp_path / "memory", disk=tmp_path / "home")


def test_without_a_cache_nothing_is_said(tmp_path: Path, project: Path) -> None:
    assert make(None, tmp_path).variables_for(project) == {}
    assert make(tmp_path / "missing", tmp_path).variables_for(project) == {}


def test_view_has_its_own_index_and_links_to_what_is_packed_out(
    cache: Path, tmp_path: Path, project: Path
) -> None:
    view = Path(make(cache, tmp_path).variables_for(project)["UV_CACHE_DIR"])

    module = view / "archive-v0" / "id" / "books" / "__init__.py"
    pointer = view / "wheels-v8" / "index" / "my-books" / "1.2.3-py3-none-any.http"
    assert view.parent == tmp_path / "memory"
    assert (module.is_symlink(), module.read_text()) == (True, "content")
    assert not module.parent.is_symlink()
    assert (pointer.is_symlink(), pointer.read_text()) == (False, "pointer")
    assert (view / "wheels-v8" / "index" / "my-books" / "1.2.3-py3-none-any" / "books").is_dir()


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("requirements.txt", "My_Books==1.2.3 \\\n    --hash=sha256:00\n", "memory"),
        ("requirements.txt", "my.books==1.2.3\nother==1.0 ; sys_platform == 'win32' \\\n", "memory"),
        ("requirements.txt", "my-books==1.2.4\n", "home"),
        ("requirements/bot.txt", "other==1.0 \\\n", "home"),
        ("notes.txt", "nothing is pinned here", "memory"),
    ],
)
def test_memory_is_only_for_projects_that_need_nothing_else(
    cache: Path, tmp_path: Path, project: Path, name: str, text: str, place: str
) -> None:
    (project / name).write_text(text)

    found = make(cache, tmp_path).variables_for(project)["UV_CACHE_DIR"]

    assert Path(found).relative_to(tmp_path).parts[0] == place


def test_change_that_needs_more_gets_a_view_on_the_disk(cache: Path, tmp_path: Path, project: Path) -> None:
    packages = make(cache, tmp_path)

    before = packages.variables_for(project)
    (project / "requirements.txt").write_text("large==9\n")
    after, again = packages.variables_for(project), packages.variables_for(project)

    assert before == {"UV_CACHE_DIR": str(tmp_path / "memory" / "package-cache")}
    assert after == again == {"UV_CACHE_DIR": str(tmp_path / "home" / ".cache" / "uv")}


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "dangling"])
def test_lists_that_are_no_files_are_not_read(cache: Path, tmp_path: Path, project: Path, kind: str) -> None:
    path = project / "requirements.txt"
    secret = tmp_path / "secret"
    secret.write_text("large==9\n")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(secret if kind == "link" else tmp_path / "nowhere")

    found = make(cache, tmp_path).variables_for(project)["UV_CACHE_DIR"]

    assert Path(found).parent == tmp_path / "memory"


def test_view_that_cannot_be_made_costs_time_and_nothing_else(
    cache: Path, tmp_path: Path, project: Path
) -> None:
    (tmp_path / "memory").write_text("in the way")

    found = make(cache, tmp_path).variables_for(project)

    assert found == {}
