"""A run as a picture: its flow's stops in two columns, where it is, and the ways it took; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from apps.graph import routing
from apps.graph.flow import Flow
from apps.graph.models import UNFINISHED, RunStatus
from apps.graph.state import Verdict

#: Of the drawing, in its own units; a browser shows one as a pixel.
STOP_WIDTH: Final = 170
STOP_HEIGHT: Final = 28
ROW: Final = 42
MARGIN: Final = 6
LANE: Final = 50  # between the columns, where ways back are drawn
_ENDED_BADLY: Final = frozenset({RunStatus.FAILED, RunStatus.CRASHED, RunStatus.CANCELED})
#: Which stop a verdict leads to, whatever the stop is that gave it.
_LOOPS: Final[Mapping[str, str]] = {
    Verdict.REWORK: routing.REWORK,
    Verdict.REBASE: routing.REQUEST_REBASE,
    Verdict.NEW_ATTEMPT: routing.REQUEST_REMOVAL,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Visited:
    """One ended visit, as the run's steps tell it."""

    node: str
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnStop:
    """One stop of the flow."""

    name: str
    text: str
    x: int
    y: int
    visits: int
    state: str  # ahead | done | current | failed

    @property
    def middle(self) -> int:
        """Where its text is centred, from the left."""
        return self.x + STOP_WIDTH // 2

    @property
    def baseline(self) -> int:
        """Where its text stands, from the top."""
        return self.y + STOP_HEIGHT // 2 + 4

    @property
    def right(self) -> int:
        """Its right edge."""
        return self.x + STOP_WIDTH


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnWay:
    """One way from a stop to another, as the path of an SVG."""

    path: str
    is_taken: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Everything a template needs to draw a run."""

    flow: str
    current: str
    width: int
    height: int
    stops: Sequence[DrawnStop]
    ways: Sequence[DrawnWay]
    stop_width: int = STOP_WIDTH
    stop_height: int = STOP_HEIGHT


def draw(flow: Flow, *, visited: Sequence[Visited], status: str) -> Picture:
    """Draw a run.

    Args:
        flow: its topology.
        visited: its ended visits in order; unknown stops, of an older version, are left out.
        status: of the run.

    """
    known = [visit for visit in visited if visit.node in flow.stops]
    current = current_stop(flow, known) if status in UNFINISHED else ""
    places = _places(flow)
    counts = Counter(visit.node for visit in known)
    broken = _broken_stop(known) if status in _ENDED_BADLY else ""
    stops = {
        name: DrawnStop(
            name=name,
            text=name.replace("_", " "),
            x=MARGIN + column * (STOP_WIDTH + LANE),
            y=MARGIN + row * ROW,
            visits=counts[name],
            state=_state(name, current=current, broken=broken, is_visited=bool(counts[name])),
        )
        for name, (column, row) in places.items()
    }
    taken = {(first.node, second.node) for first, second in pairwise(known)}
    if current and known:
        taken.add((known[-1].node, current))
    columns = 1 + max(column for column, _row in places.values())
    rows = 1 + max(row for _column, row in places.values())
    return Picture(
        flow=flow.name,
        current=current,
        width=2 * MARGIN + columns * STOP_WIDTH + (columns - 1) * LANE,
        height=2 * MARGIN + (rows - 1) * ROW + STOP_HEIGHT,
        stops=list(stops.values()),
        ways=[
            DrawnWay(path=_path(stops[first], stops[second]), is_taken=(first, second) in taken)
            for first, second in _ways(flow, taken)
        ],
    )


def current_stop(flow: Flow, visited: Sequence[Visited]) -> str:
    """Name the stop at which a run is that has made these visits and has not ended."""
    if not visited:
        return flow.start
    last = visited[-1]
    stop = flow.stops[last.node]
    match last.verdict:
        case Verdict.OK:
            wanted = stop.ok
        case Verdict.AGAIN:
            wanted = stop.again or routing.FINISH
        case verdict:
            wanted = _LOOPS.get(verdict, routing.FINISH)
    return wanted if wanted in flow.stops else routing.FINISH


def _state(name: str, *, current: str, broken: str, is_visited: bool) -> str:
    if name == current:
        return "current"
    if name == broken:
        return "failed"
    return "done" if is_visited else "ahead"


def _broken_stop(visited: Sequence[Visited]) -> str:
    """Name the last stop before the end: it is the one that said no."""
    names = [visit.node for visit in visited if visit.node != routing.FINISH]
    return names[-1] if names else ""


def _main_line(flow: Flow) -> list[str]:
    names = [flow.start]
    while names[-1] != routing.FINISH:
        names.append(flow.stops[names[-1]].ok)
    return names


def _places(flow: Flow) -> dict[str, tuple[int, int]]:
    """Put the main line into the first column, and every loop beside the stop that it leads back to."""
    main = _main_line(flow)
    places = {name: (0, row) for row, name in enumerate(main)}
    aside = [name for name in flow.stops if name not in places]
    used: set[int] = set()
    for name in sorted(aside, key=lambda one: _distance(flow, one, places)):
        follower = places[flow.stops[name].ok]
        row = follower[1] + (1 if follower[0] else 0)
        while row in used:
            row += 1
        used.add(row)
        places[name] = (1, row)
    return places


def _distance(flow: Flow, name: str, main: Mapping[str, tuple[int, int]]) -> int:
    steps = 0
    while name not in main and steps <= len(flow.stops):
        name, steps = flow.stops[name].ok, steps + 1
    return steps


def _ways(flow: Flow, taken: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the ways that are declared, and those that were taken though any stop may ask for them."""
    declared = [(name, stop.ok) for name, stop in flow.stops.items() if name != routing.FINISH]
    declared += [(name, stop.again) for name, stop in flow.stops.items() if stop.again]
    return list(dict.fromkeys([*declared, *sorted(taken)]))


def _path(first: DrawnStop, second: DrawnStop) -> str:
    middle = STOP_HEIGHT // 2
    if first.x == second.x and 0 < second.y - first.y <= ROW:
        return f"M{first.middle} {first.y + STOP_HEIGHT}V{second.y}"
    if first.x == second.x and 0 < first.y - second.y <= ROW and first.x > MARGIN:
        return f"M{first.middle} {first.y}V{second.y + STOP_HEIGHT}"
    if first.x > second.x:
        return _curve((first.x, first.y + middle), (second.right, second.y + middle), bend=LANE // 2)
    if first.x < second.x:
        return _curve((first.right, first.y + middle), (second.x, second.y + middle), bend=LANE // 2)
    # Within a column, over other stops: through the lane on its right.
    begin, end = (first.right, first.y + middle), (second.right, second.y + middle)
    return f"M{begin[0]} {begin[1]}C{begin[0] + LANE} {begin[1]} {end[0] + LANE} {end[1]} {end[0]} {end[1]}"


def _curve(begin: tuple[int, int], end: tuple[int, int], *, bend: int) -> str:
    towards = bend if end[0] > begin[0] else -bend
    bent = f"{begin[0] + towards} {begin[1]} {end[0] - towards} {end[1]}"
    return f"M{begin[0]} {begin[1]}C{bent} {end[0]} {end[1]}"
