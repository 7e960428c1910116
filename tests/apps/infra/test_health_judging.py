"""What figures mean, and what their absence does not."""

import pytest

from apps.infra.health_judging import Thresholds, health_of, is_our_own, judge
from apps.infra.health_looking import Look, Measure, Outcome, read_measure

pytestmark = pytest.mark.unit

THRESHOLDS = Thresholds(disk_warning=80, disk_critical=90, memory_left=5)
WELL = Measure(
    cpus=2,
    memory_total_mb=2_000,
    memory_available_mb=1_000,
    disk_total_mb=1_000,
    disk_free_mb=500,
    is_docker_well=True,
)


def look(measure: Measure | None = WELL, outcome: Outcome = Outcome.SEEN) -> Look:
    return Look(server_id=7, outcome=outcome, measure=measure)


def found(measure: Measure) -> dict[str, bool | None]:
    return {finding.kind: finding.is_wrong for finding in judge(look(measure), THRESHOLDS)}


@pytest.mark.parametrize(
    ("free", "is_wrong", "severity"),
    [(500, False, "warning"), (201, True, "warning"), (100, True, "critical"), (0, True, "critical")],
)
def test_disk_is_judged_by_what_is_left(free, is_wrong, severity):
    measure = Measure(disk_total_mb=1_000, disk_free_mb=free)

    disk = judge(look(measure), THRESHOLDS)[0]

    assert (disk.kind, disk.is_wrong, disk.severity) == ("disk_full", is_wrong, severity)


def test_what_was_not_measured_is_neither_well_nor_wrong():
    assert found(Measure()) == {"disk_full": None, "memory_low": None, "docker_down": None}
    assert found(Measure(disk_total_mb=0, disk_free_mb=0))["disk_full"] is None


def test_memory_and_docker_are_judged():
    wrong = Measure(memory_total_mb=1_000, memory_available_mb=40, is_docker_well=False)

    assert found(wrong) == {"disk_full": None, "memory_low": True, "docker_down": True}
    assert set(found(WELL).values()) == {False}


@pytest.mark.parametrize(
    ("seen", "health"),
    [
        (look(), "healthy"),
        (look(Measure(disk_total_mb=10, disk_free_mb=0)), "degraded"),
        (look(None, Outcome.UNREACHABLE), "unreachable"),
        (look(None, Outcome.HOST_KEY_CHANGED), "unreachable"),
        (look(None, Outcome.BROKEN), "unknown"),
    ],
)
def test_health_is_one_word(seen, health):
    assert health_of(seen, judge(seen, THRESHOLDS)) == health


def test_figures_are_read():
    text = "cpus=2\nload_1m=0.25\nmemory_total_kb=2048\nmemory_available_kb=1024\ndisk_total_kb=4096\n"
    text += "disk_free_kb=0\ndocker=1\ncontainers=0\nend=1\n"

    assert read_measure(text) == Measure(
        cpus=2,
        load_1m=0.25,
        memory_total_mb=2,
        memory_available_mb=1,
        disk_total_mb=4,
        disk_free_mb=0,
        containers_running=0,
        is_docker_well=True,
    )


@pytest.mark.parametrize("text", ["", "cpus=2\n", "This account is currently not available.\n", "\x00" * 50])
def test_words_that_break_off_are_no_measure(text):
    assert read_measure(text) is None


@pytest.mark.parametrize("number", ["-1", "1e300", "nan", "inf", "", "many", "99999999999999"])
def test_figure_that_cannot_be_is_unknown(number):
    measure = read_measure(f"cpus={number}\nmemory_total_kb={number}\nload_1m={number}\nend=1\n")

    assert measure is not None
    assert (measure.cpus, measure.load_1m) == (None, None)


@pytest.mark.parametrize(
    ("silent", "looked_at", "is_ours"),
    [(0, 0, False), (2, 2, False), (3, 3, True), (3, 5, True), (3, 6, False), (700, 1_000, True)],
)
def test_silence_of_most_is_rather_our_own(silent, looked_at, is_ours):
    assert is_our_own(silent=silent, looked_at=looked_at, least=3, percent=60) is is_ours
