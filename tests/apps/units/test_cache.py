import os

import pytest

from apps.units import cache

pytestmark = pytest.mark.service

UID = 64950


@pytest.fixture
def shared(place):
    directory = place / "cache"
    package = directory / "archive-v0" / "abc" / "package"
    package.mkdir(parents=True)
    (package / "module.py").write_text("x = 1\n")
    (package / "module.py").chmod(0o644)
    (package / "private.py").write_text("y = 1\n")
    (package / "private.py").chmod(0o600)
    index = directory / "wheels-v8" / "index"
    index.mkdir(parents=True)
    (index / "entry.http").write_text("fresh")
    (index / "1.0").symlink_to("../../archive-v0/abc")
    return directory


def test_ordinary_user_shares_the_cache_itself(shared, place):
    assert cache.prepare(shared, place / "own", None) == {"UV_CACHE_DIR": str(shared)}
    assert not (place / "own").exists()


def test_missing_cache_is_made(place):
    cache.prepare(place / "new" / "uv", place / "own", None)

    assert (place / "new" / "uv").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="uids are separated only for root")
def test_unit_reads_everything_and_can_change_nothing_of_the_others(shared, units, make_spec, finished):
    script = """
        cd "$UV_CACHE_DIR"
        cat archive-v0/abc/package/*.py wheels-v8/index/1.0/package/module.py wheels-v8/index/entry.http
        echo poison > archive-v0/abc/package/module.py
        chmod 0777 archive-v0/abc/package/module.py && echo poison > archive-v0/abc/package/module.py
        echo poison > archive-v0/abc/package/private.py
        rm archive-v0/abc/package/module.py; echo poison > archive-v0/abc/package/module.py
        echo poison > wheels-v8/index/entry.http
        touch .lock sdists; echo "$UV_LINK_MODE"
    """
    units.start(make_spec("reader", script, cache=True))

    finished("reader")

    log = units.logs("reader", tail_bytes=5000)
    package = shared / "archive-v0" / "abc" / "package"
    assert log.startswith("x = 1\ny = 1\nx = 1\nfresh")
    assert log.endswith("copy\n")
    assert (package / "module.py").read_text() == "x = 1\n"
    assert (package / "private.py").read_text() == "y = 1\n"
    assert (shared / "wheels-v8" / "index" / "entry.http").read_text() == "fresh"


@pytest.mark.skipif(os.geteuid() != 0, reason="uids are separated only for root")
def test_packages_are_links_and_the_index_is_a_copy(shared, place):
    cache.prepare(shared, place / "own", UID)

    module = place / "own" / "archive-v0" / "abc" / "package" / "module.py"
    entry = place / "own" / "wheels-v8" / "index" / "entry.http"
    assert module.samefile(shared / "archive-v0" / "abc" / "package" / "module.py")
    assert (module.stat().st_uid, module.parent.stat().st_uid) == (0, UID)
    assert entry.stat().st_uid == UID
    assert not entry.samefile(shared / "wheels-v8" / "index" / "entry.http")
