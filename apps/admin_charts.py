"""A share over time as a line: laid out here, drawn by a template as SVG. Unknown is a gap, never zero."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.admin_base import Words

WIDTH: Final = 320
HEIGHT: Final = 80
_FULL: Final = 100.0
#: Room for the width of the line at the edges.
_EDGE: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A share at a moment."""

    at: datetime
    percent: float | None  # None: it could not be measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One line over a stretch of time."""

    title: Words
    path: str  # of an SVG of WIDTH × HEIGHT; empty: there is nothing to draw
    latest: float | None  # in percent; None: the last measurement did not tell
    since: datetime
    until: datetime
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def words(self) -> str:
        """The latest share as a person reads it."""
        return "" if self.latest is None else f"{self.latest:.0f} %"


def draw(title: Words, points: Sequence[Point], *, since: datetime, until: datetime, gap: timedelta) -> Chart:
    """Lay a line out.

    Args:
        title: what it shows.
        points: in the order of time; those outside the stretch are left out.
        since: where the drawing begins.
        until: where it ends.
        gap: between points that are further apart than this nothing is known, and nothing is drawn.

    """
    shown = [point for point in points if since <= point.at <= until]
    path = " ".join(_stroke(stroke, since, until) for stroke in _strokes(shown, gap))
    latest = shown[-1].percent if shown and until - shown[-1].at <= gap else None
    return Chart(title=title, path=path, latest=latest, since=since, until=until)


def share(part: float | None, whole: float | None) -> float | None:
    """Return a share in percent within its bounds; None where it is not known."""
    if part is None or not whole:
        return None
    return min(_FULL, max(0.0, _FULL * part / whole))


def _strokes(points: Iterable[Point], gap: timedelta) -> Iterable[list[Point]]:
    stroke: list[Point] = []
    for point in points:
        if stroke and (point.percent is None or point.at - stroke[-1].at > gap):
            yield stroke
            stroke = []
        if point.percent is not None:
            stroke.append(point)
    if stroke:
        yield stroke


def _stroke(points: Sequence[Point], since: datetime, until: datetime) -> str:
    length = max(1.0, (until - since).total_seconds())
    places = []
    for point in points:
        x = _EDGE + (WIDTH - 2 * _EDGE) * (point.at - since).total_seconds() / length
        y = HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * (point.percent or 0.0) / _FULL
        places.append(f"{x:.1f} {y:.1f}")
    # A line of no length is a dot where its ends are round.
    return f"M{places[0]} L" + " L".join(places)
