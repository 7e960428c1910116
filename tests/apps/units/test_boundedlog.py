import pytest

from apps.units import boundedlog
from apps.units.boundedlog import BoundedLog

pytestmark = pytest.mark.unit


def test_short_output_is_kept_whole(tmp_path):
    log = BoundedLog(str(tmp_path), 100)

    log.write(b"one\n")
    log.write(b"two\n")

    assert boundedlog.read(str(tmp_path)) == b"one\ntwo\n"


@pytest.mark.parametrize("size", [49, 50, 51, 74, 75, 76, 99, 100])
def test_output_up_to_the_limit_is_never_reordered_or_lost(tmp_path, size):
    content = bytes(32 + number % 90 for number in range(size))
    log = BoundedLog(str(tmp_path), 100)

    for position in range(0, size, 7):
        log.write(content[position : position + 7])

    assert boundedlog.read(str(tmp_path)) == content


def test_flood_keeps_head_and_tail_and_counts_the_rest(tmp_path):
    content = b"".join(b"%07d\n" % number for number in range(1000))
    log = BoundedLog(str(tmp_path), 800)

    log.write(content)

    kept = boundedlog.read(str(tmp_path))
    head, _, rest = kept.partition(b"\n[... ")
    omitted, _, tail = rest.partition(b" bytes omitted ...]\n")
    assert content.startswith(head)
    assert content.endswith(tail)
    assert len(head) + int(omitted) + len(tail) == len(content)
    assert sum(file.stat().st_size for file in tmp_path.glob("log.[hpt]*")) <= 800


def test_nothing_written_reads_as_nothing(tmp_path):
    assert boundedlog.read(str(tmp_path)) == b""
