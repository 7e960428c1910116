import pytest

from apps.units.spec import UnitFileNotFound, UnitFileRefused

pytestmark = pytest.mark.service


@pytest.mark.parametrize(
    ("script", "path", "error"),
    [
        ("true", "absent", UnitFileNotFound),
        ("ln -s /etc/passwd link", "link", UnitFileRefused),
        ("ln -s / up", "up/etc/passwd", UnitFileRefused),
        ("mkfifo pipe", "pipe", UnitFileRefused),
        ("mkdir dir", "dir", UnitFileRefused),
        ("head -c 101 /dev/zero > big", "big", UnitFileRefused),
        ("true", "../spec.json", UnitFileRefused),
        ("true", "/etc/passwd", UnitFileRefused),
    ],
)
def test_fetch_refuses_what_is_not_a_plain_small_file(units, make_spec, finished, script, path, error):
    units.start(make_spec("writer", script))
    finished("writer")

    with pytest.raises(error):
        units.fetch("writer", path, limit_bytes=100)


def test_fetch_returns_a_file_below_the_work_directory(units, make_spec, finished):
    units.start(make_spec("writer", "mkdir -p a/b; printf result > a/b/file"))
    finished("writer")

    assert units.fetch("writer", "a/b/file", limit_bytes=6) == b"result"
