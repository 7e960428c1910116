"""A share over time as a line: what is not known is a gap, never zero."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.admin_charts import HEIGHT, WIDTH, Chart, Point, draw, share

pytestmark = pytest.mark.unit

UNTIL = datetime(2026, 1, 2, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=24)
GAP = timedelta(minutes=15)


def chart(*points: tuple[int, float | None]) -> Chart:
    """A chart of shares at minutes before the end."""
    made = [Point(at=UNTIL - timedelta(minutes=minutes), percent=percent) for minutes, percent in points]
    return draw("Memory", made, since=SINCE, until=UNTIL, gap=GAP)


def strokes(drawn: Chart) -> list[list[tuple[float, float]]]:
    """The places of each stroke."""
    found = [part.replace("L", " ").split() for part in drawn.path.split("M") if part.strip()]
    return [list(zip(map(float, words[::2]), map(float, words[1::2]), strict=True)) for words in found]


def test_nothing_measured_draws_nothing():
    drawn = chart()

    assert (drawn.path, drawn.latest, drawn.words) == ("", None, "")


def test_line_goes_from_left_to_right_and_up_with_the_share():
    ((first, *_, last),) = strokes(chart((20, 10.0), (10, 50.0), (0, 90.0)))

    assert first[0] < last[0] <= WIDTH
    assert HEIGHT >= first[1] > last[1] >= 0


@pytest.mark.parametrize(
    "points",
    [((60, 10.0), (50, 10.0), (20, 10.0), (10, 10.0)), ((30, 10.0), (20, None), (10, 10.0))],
)
def test_what_nobody_knows_is_a_gap(points):
    assert len(strokes(chart(*points))) == 2


def test_latest_share_is_forgotten_when_nothing_was_heard_for_long():
    fresh, old = chart((1, 42.0)), chart((16, 42.0))

    assert (fresh.words, old.words) == ("42 %", "")


def test_what_lies_outside_is_left_out():
    assert chart((24 * 60 + 1, 10.0)).path == ""


@pytest.mark.parametrize(
    ("part", "whole", "percent"),
    [(1, 4, 25.0), (0, 4, 0.0), (9, 4, 100.0), (None, 4, None), (1, None, None), (1, 0, None)],
)
def test_share_is_bounded_and_unknown_is_not_zero(part, whole, percent):
    assert share(part, whole) == percent
