"""Pauses between looks."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.errors import Unavailable
from apps.projects.polling import after_refusal, next_look

pytestmark = pytest.mark.unit

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FIRST = timedelta(seconds=15)


@pytest.mark.parametrize(
    ("lasted", "pause"), [(0, 15), (59, 15), (60, 30), (299, 30), (300, 60), (9_000, 60)]
)
def test_what_goes_on_elsewhere_is_looked_at_ever_less_often(lasted: int, pause: int) -> None:
    found = next_look(since=NOW - timedelta(seconds=lasted), now=NOW, first=FIRST)

    assert found == NOW + timedelta(seconds=pause)


@pytest.mark.parametrize(("tries", "pause"), [(1, 15), (2, 30), (3, 60), (4, 60), (5_000, 60)])
def test_silence_is_met_with_patience(tries: int, pause: int) -> None:
    assert after_refusal(Unavailable(), tries=tries, now=NOW, first=FIRST) == NOW + timedelta(seconds=pause)


@pytest.mark.parametrize(("told", "pause"), [(120, 120), (3, 15), (10**9, 3_600), ("soon", 15), (-1, 15)])
def test_told_pause_is_kept_within_reason(told: object, pause: int) -> None:
    error = Unavailable(details={"retry_after": told})

    assert after_refusal(error, tries=1, now=NOW, first=FIRST) == NOW + timedelta(seconds=pause)
