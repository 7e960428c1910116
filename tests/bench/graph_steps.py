"""How many node visits a second one process drives, and how long an advance takes.

What is measured is ``executor.advance``: lock, claim, nodes, their records, the
checkpoint, the park, the look for a missed wake-up. Two loads: ``CHAIN``, whose
effects are one keyed row each (the price of the machinery alone), and whole
engineering runs with the real services of the lower apps, whose part is then
played by the caller outside the measured time.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.utils import timezone

from apps.graph import executor
from apps.graph.flow import Flow, Stop
from apps.graph.flows import FLOWS
from apps.graph.models import Question, QuestionStatus, Run, Step
from apps.graph.nodes.finish import finish
from apps.graph.state import RunState, Wait

PAIRS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The figures of one measurement."""

    steps_per_second: float
    advances_per_second: float
    median_ms: float  # of one advance
    p95_ms: float
    cpu_ms_per_step: float  # of this process alone: comparable on a busy machine, too
    steps: int


def measure(make_run: Callable[[], Run], move: Callable[[Run], None], *, runs: int = 20) -> Measured:
    """Drive whole runs one after the other.

    Args:
        make_run: creates a task and starts it.
        move: makes the row that a parked run waits for final.
        runs: how many; one more is driven before, to warm up.

    """
    _drive_to_end(make_run(), move)
    gc.freeze()  # as the processes of the system do at their start
    times: list[float] = []
    steps, cpu = 0, 0.0
    for _ in range(runs):
        run = make_run()
        cpu_before = time.process_time()
        times += _drive_to_end(run, move)
        cpu += time.process_time() - cpu_before
        steps += Step.objects.filter(run=run).count()
    total = sum(times)
    milliseconds = sorted(1_000 * one for one in times)
    return Measured(
        steps_per_second=round(steps / total, 1),
        advances_per_second=round(len(times) / total, 1),
        median_ms=round(statistics.median(milliseconds), 1),
        p95_ms=round(milliseconds[int(len(milliseconds) * 0.95)], 1),
        cpu_ms_per_step=round(1_000 * cpu / steps, 2),
        steps=steps,
    )


def become_chain(run: Run) -> Run:
    """Turn a run that nobody has driven yet into one of the chain."""
    Run.objects.filter(pk=run.pk).update(flow=CHAIN.name, flow_version=CHAIN.version)
    return run.reload()


def move_chain(run: Run) -> None:
    """Answer what a run of the chain waits for."""
    Question.transition(UUID(run.waiting_for.partition(":")[2]), to=QuestionStatus.ANSWERED)


def as_text(measured: Measured) -> str:
    """Return the figures as JSON."""
    return json.dumps(asdict(measured))


def _drive_to_end(run: Run, move: Callable[[Run], None]) -> list[float]:
    times = []
    while True:
        began = time.perf_counter()
        executor.advance(run_id=run.pk)
        times.append(time.perf_counter() - began)
        run.refresh_from_db()
        if run.status in Run.final_statuses():
            return times
        move(run)


def _request(number: int, state: RunState) -> RunState:
    question, _ = Question.objects.get_or_create(
        idempotency_key=f"run-{state['run_id']}-{number}",
        defaults={
            "run_id": UUID(state["run_id"]),
            "text": "?",
            "deadline_at": timezone.now() + timedelta(minutes=5),
        },
    )
    return {"question_id": str(question.pk)}


def _await(state: RunState) -> RunState | Wait:
    question = Question.objects.get(pk=UUID(state["question_id"]))
    if question.status == QuestionStatus.OPEN:
        return Wait("question", state["question_id"])
    return {}


def _chain() -> Flow:
    stops: dict[str, Stop] = {}
    for number in range(PAIRS):
        following = f"request_{number + 1}" if number + 1 < PAIRS else "finish"
        stops[f"request_{number}"] = Stop(node=partial(_request, number), ok=f"await_{number}")
        stops[f"await_{number}"] = Stop(node=_await, ok=following)
    return Flow(
        name="bench_chain", version=1, start="request_0", stops={**stops, "finish": Stop(node=finish)}
    )


CHAIN = _chain()
FLOWS[CHAIN.name] = CHAIN
