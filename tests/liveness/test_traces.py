"""Every recording of a real agent is judged right, and in time."""

from collections import Counter
from collections.abc import Sequence

import pytest

from apps.workers import liveness
from apps.workers.models import Verdict
from tests.liveness.traces import Trace, load_all

pytestmark = pytest.mark.unit

TRACES = load_all()
AT_LEAST = 60
AT_LEAST_PER_VERDICT = 10
SHARE_RIGHT = 0.95
STALLED_WITHIN_SECONDS = 90
DEAD_WITHIN_SECONDS = 10
HONEST_SECONDS = 300
#: The sweep looks every five seconds and passes over a row that was looked at three seconds ago.
SWEEP_SECONDS = 3


def _verdicts(trace: Trace) -> list[tuple[float, Verdict]]:
    return [(at, liveness.judge(evidence).verdict) for at, evidence in trace.looks]


def _ids(traces: Sequence[Trace]) -> list[str]:
    return [trace.name for trace in traces]


def _labelled(label: str) -> list[Trace]:
    return [trace for trace in TRACES if trace.label == label]


def test_there_are_enough_recordings_of_each_verdict_and_of_each_agent() -> None:
    labels = Counter(trace.label for trace in TRACES)
    agents = Counter(trace.agent for trace in TRACES)

    assert len(TRACES) >= AT_LEAST
    assert {verdict for verdict in Verdict if labels[verdict] < AT_LEAST_PER_VERDICT} == set()
    assert min(agents[agent] for agent in ("claude", "codex", "droid")) >= AT_LEAST_PER_VERDICT


def test_nearly_every_recording_is_judged_right(capsys: pytest.CaptureFixture[str]) -> None:
    found = Counter((trace.label, _verdicts(trace)[-1][1].value) for trace in TRACES)

    with capsys.disabled():
        print(_drawn(found))
    right = sum(count for (label, verdict), count in found.items() if label == verdict)
    assert right / len(TRACES) >= SHARE_RIGHT


@pytest.mark.parametrize("trace", _labelled("stalled"), ids=_ids(_labelled("stalled")))
def test_silent_agent_is_stalled_within_ninety_seconds_and_not_before_it_is_silent(trace: Trace) -> None:
    stalled = [at for at, verdict in _verdicts(trace) if verdict is Verdict.STALLED]

    assert stalled[0] >= trace.since
    assert stalled[0] <= trace.since + STALLED_WITHIN_SECONDS - SWEEP_SECONDS


@pytest.mark.parametrize("trace", _labelled("dead"), ids=_ids(_labelled("dead")))
def test_dead_worker_is_dead_within_ten_seconds_and_not_before(trace: Trace) -> None:
    dead = [at for at, verdict in _verdicts(trace) if verdict is Verdict.DEAD]

    assert dead[0] >= trace.since
    assert dead[0] <= trace.since + DEAD_WITHIN_SECONDS - SWEEP_SECONDS


@pytest.mark.parametrize("trace", _labelled("tool_running"), ids=_ids(_labelled("tool_running")))
def test_honest_tool_of_five_minutes_is_never_called_stalled(trace: Trace) -> None:
    verdicts = _verdicts(trace)

    assert verdicts[-1][0] - trace.since >= HONEST_SECONDS
    assert Verdict.STALLED not in {verdict for _, verdict in verdicts}


@pytest.mark.parametrize("trace", TRACES, ids=_ids(TRACES))
def test_nothing_is_called_stalled_or_dead_that_is_not(trace: Trace) -> None:
    allowed = {trace.label} & {"stalled", "dead"}
    alarms = {verdict.value for at, verdict in _verdicts(trace) if at >= trace.since} & {"stalled", "dead"}

    # One that stalled before it was killed may be called both.
    assert alarms - {"stalled" if trace.story == "stalled" else ""} <= allowed


def _drawn(found: Counter[tuple[str, str]]) -> str:
    names = [verdict.value for verdict in Verdict]
    width = max(map(len, names)) + 2
    head = "label \\ verdict".ljust(width + 2) + "".join(name.rjust(width) for name in names)
    rows = [
        label.ljust(width + 2) + "".join(str(found[label, name] or ".").rjust(width) for name in names)
        for label in names
    ]
    return "\n" + "\n".join([head, *rows])
