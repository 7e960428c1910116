"""The translation of a flow to LangGraph.

LangGraph runs an interrupted node again from its top, so an effect and a wait
never share a node. Nodes know nothing of LangGraph: one that has to wait
returns a ``Wait``, and ``visit`` turns that into an interrupt.
"""

from collections.abc import Hashable
from functools import partial
from typing import Any, Protocol

from django.db import transaction
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from apps.errors import OrchestratorError, Unavailable
from apps.failures import Failure
from apps.graph import routing
from apps.graph.flow import Flow
from apps.graph.state import Node, RunState, Verdict, Wait
from apps.graph.visits import VisitLog

Compiled = CompiledStateGraph[RunState, VisitLog, RunState, RunState]


def compile_flow(flow: Flow, saver: BaseCheckpointSaver[Any]) -> Compiled:
    """Build the graph of a flow."""
    builder: StateGraph[RunState, VisitLog, RunState, RunState] = StateGraph(
        RunState, context_schema=VisitLog
    )
    for name, stop in flow.stops.items():
        builder.add_node(name, visit(name, stop.node))
    builder.add_edge(START, flow.start)
    for name, stop in flow.stops.items():
        if name == routing.FINISH:
            builder.add_edge(name, END)
            continue
        loops = {routing.REWORK, routing.REQUEST_REBASE, routing.REQUEST_REMOVAL}
        targets = {stop.ok, routing.FINISH, stop.again, *loops}
        known: dict[Hashable, str] = {target: target for target in targets if target in flow.stops}
        builder.add_conditional_edges(name, partial(routing.next_node, ok=stop.ok, again=stop.again), known)
    return builder.compile(checkpointer=saver)


class Visit(Protocol):
    """A node as LangGraph calls it."""

    def __call__(self, state: RunState, *, runtime: Runtime[VisitLog]) -> RunState:
        """Return the update of the state."""
        ...


def visit(name: str, node: Node) -> Visit:
    """Wrap a node: count and record its visit, wait while it says so, let its refusals end the run.

    A visit is one transaction: what it wrote and the record of it stand or fall
    together. ``while``, not ``if``: a spurious wake-up must wait again.
    """

    def run(state: RunState, *, runtime: Runtime[VisitLog]) -> RunState:
        while isinstance(answer := _ask(name, node, state, runtime.context), Wait):
            interrupt(str(answer))
        return answer

    return run


def _ask(name: str, node: Node, state: RunState, log: VisitLog) -> RunState | Wait:
    try:
        with transaction.atomic():
            answer = node(state)
            return answer if isinstance(answer, Wait) else log.write(name, state, answer)
    except Unavailable:
        raise
    except OrchestratorError as error:
        stage = name.removeprefix("request_").removeprefix("await_")
        failure = Failure.from_error(error, stage=stage).as_json()
        return log.write(name, state, {"verdict": Verdict.STOP, "failure": failure})
