"""How alive a worker is: one verdict and what it rests on, from a small record of evidence. Pure.

Two observers testify: the control plane saw the container, the wrapper saw the agent from inside. What is not
known is never held against a worker; only silence of everything that can be seen is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from apps.workers.models.liveness import Ground, Verdict
from apps.workers.models.worker import WorkerStatus
from apps.workers.runtime.base import Phase as ContainerPhase
from worker_image.contract import AgentSigns, Phase

SILENCE_SECONDS: Final = 70.0
"""Silence of everything for this long is a stall; told within 90 s, as the wrapper looks every 5 s and the
sweep every 5 to 8."""
HEARTBEAT_SECONDS: Final = 70.0
"""A wrapper that says nothing for this long, although its container runs, is stalled itself."""
GREETING_SECONDS: Final = 5.0
"""What an agent prints before this, without a word to its model, belongs to its start."""
#: Grounds that prove that nothing will come of waiting; a missing heartbeat may be the channel's fault.
PROVEN: Final = frozenset({Ground.SILENCE, Ground.FROZEN, Ground.NEVER_SPOKE, Ground.TERMINAL})
_GONE: Final = frozenset({ContainerPhase.EXITED, ContainerPhase.UNKNOWN})
_ENDED: Final = {
    WorkerStatus.SUCCEEDED: Ground.FINISHED,
    WorkerStatus.CANCELED: Ground.CANCELED,
    WorkerStatus.FAILED: Ground.FAILED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known of a worker at one moment.

    Attributes:
        status: of its row.
        container: as it was just observed; None before there is one, and after it was removed.
        is_removed: whether its container was seen to be gone.
        oom_killed: whether it was ended for its use of memory.
        word_seconds: since the wrapper last said anything; None: never.
        phase: what the wrapper was doing then.
        signs: what the wrapper saw of the agent then.
        is_asked: whether a turn is unfinished: it owes an answer.
        had_turn: whether it was ever asked anything.
        is_talker: whether it talks with a person, who speaks next after each of its turns.

    """

    status: str
    container: ContainerPhase | None = None
    is_removed: bool = False
    oom_killed: bool = False
    word_seconds: float | None = None
    phase: Phase | None = None
    signs: AgentSigns | None = None
    is_asked: bool = False
    had_turn: bool = False
    is_talker: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Liveness:
    """One verdict and its reason."""

    verdict: Verdict
    ground: Ground
    detail: str = ""
    """What the ground is about, such as the name of a program."""


def judge(evidence: Evidence) -> Liveness:
    """Return how alive a worker is."""
    return _dead(evidence) or _starting(evidence) or _present(evidence)


def _dead(seen: Evidence) -> Liveness | None:
    if seen.oom_killed and (seen.is_removed or seen.container in _GONE):
        return Liveness(verdict=Verdict.DEAD, ground=Ground.OUT_OF_MEMORY)
    if (status := WorkerStatus(seen.status)) in _ENDED:
        return Liveness(verdict=Verdict.DEAD, ground=_ENDED[status])
    if seen.is_removed or status == WorkerStatus.CRASHED or seen.container == ContainerPhase.EXITED:
        return Liveness(verdict=Verdict.DEAD, ground=Ground.EXITED)
    if seen.container == ContainerPhase.UNKNOWN:
        return Liveness(verdict=Verdict.DEAD, ground=Ground.LOST)
    return None


def _starting(seen: Evidence) -> Liveness | None:
    grounds = {WorkerStatus.PENDING: Ground.NO_PLACE, WorkerStatus.BUILDING: Ground.NO_IMAGE}
    ground = grounds.get(WorkerStatus(seen.status))
    if ground is None and seen.word_seconds is None:
        ground = Ground.NO_WORD
    return None if ground is None else Liveness(verdict=Verdict.STARTING, ground=ground)


def _present(seen: Evidence) -> Liveness:
    """Judge a worker whose wrapper has spoken."""
    if seen.container == ContainerPhase.PAUSED or seen.status == WorkerStatus.PAUSED:
        return Liveness(verdict=Verdict.WAITING_HUMAN, ground=Ground.PAUSED)
    if (seen.word_seconds or 0.0) > HEARTBEAT_SECONDS:
        return Liveness(verdict=Verdict.STALLED, ground=Ground.NO_HEARTBEAT)
    match seen.phase:
        case Phase.RUNNING:
            return _running(seen)
        case Phase.PREPARING:
            return Liveness(verdict=Verdict.STARTING, ground=Ground.PREPARING)
        case Phase.UPLOADING:
            return Liveness(verdict=Verdict.TOOL_RUNNING, ground=Ground.UPLOADING)
        case Phase.STOPPING:
            return Liveness(verdict=Verdict.TOOL_RUNNING, ground=Ground.STOPPING)
        case _:
            return _idle(seen)


def _idle(seen: Evidence) -> Liveness:
    if seen.is_asked:
        return Liveness(verdict=Verdict.STARTING, ground=Ground.TURN_ON_ITS_WAY)
    if seen.is_talker:
        return Liveness(verdict=Verdict.WAITING_HUMAN, ground=Ground.PERSON)
    if seen.had_turn:
        return Liveness(verdict=Verdict.WAITING_HUMAN, ground=Ground.BETWEEN_TURNS)
    return Liveness(verdict=Verdict.STARTING, ground=Ground.NO_TURN)


def _running(seen: Evidence) -> Liveness:
    signs = seen.signs
    if signs is None:
        return Liveness(verdict=Verdict.THINKING, ground=Ground.NO_SIGNS_KNOWN)
    if not signs.is_alive:
        return Liveness(verdict=Verdict.DEAD, ground=Ground.AGENT_GONE)
    later = seen.word_seconds or 0.0
    age, freshest = min(_signs(signs), default=(signs.seconds, None))
    is_silent = age + later > SILENCE_SECONDS
    if _is_tool_at_work(signs, later):
        if _is_asking(signs, later, is_silent=is_silent):
            return Liveness(verdict=Verdict.WAITING_HUMAN, ground=Ground.TERMINAL, detail=signs.tool)
        return Liveness(verdict=Verdict.TOOL_RUNNING, ground=Ground.TOOL, detail=signs.tool)
    if is_silent:
        return Liveness(verdict=Verdict.STALLED, ground=_ground_of_stall(signs))
    if freshest is None or not _has_begun(signs):
        return Liveness(verdict=Verdict.STARTING, ground=Ground.AGENT_STARTS)
    return Liveness(verdict=Verdict.THINKING, ground=freshest)


def _signs(signs: AgentSigns) -> Iterator[tuple[float, Ground]]:
    """Yield the agent's own signs of life and their ages."""
    ages = {
        Ground.TRAFFIC: signs.traffic_age,
        Ground.TRANSCRIPT: signs.event_age,
        Ground.OUTPUT: signs.output_age,
        Ground.FILES: signs.file_age,
        Ground.CPU: signs.cpu_age,
    }
    for ground, age in ages.items():
        if age is not None:
            yield age, ground


def _is_tool_at_work(signs: AgentSigns, later: float) -> bool:
    """Tell whether the agent waits for a program that it started.

    A program may also be one that it left running (a server for its tests): by then its events tell that
    every call was answered. A frozen agent waits for nothing.
    """
    if not signs.tools or signs.is_frozen:
        return False
    youngest = signs.youngest_tool_age or 0.0
    return signs.is_call_open is not False or youngest + later <= SILENCE_SECONDS


def _is_asking(signs: AgentSigns, later: float, *, is_silent: bool) -> bool:
    """Tell whether the agent waits for a program that itself waits for somebody to type."""
    is_old = (signs.youngest_tool_age or 0.0) + later > SILENCE_SECONDS
    return signs.is_terminal_read and is_old and (is_silent or signs.is_call_open is True)


def _has_begun(signs: AgentSigns) -> bool:
    """Tell whether it does more than print its greetings."""
    has_talked = signs.traffic_age is not None or signs.event_age is not None
    return has_talked or (signs.output_age is not None and signs.seconds >= GREETING_SECONDS)


def _has_spoken(signs: AgentSigns) -> bool:
    return any(age is not None for age in (signs.traffic_age, signs.event_age, signs.output_age))


def _ground_of_stall(signs: AgentSigns) -> Ground:
    if signs.is_frozen:
        return Ground.FROZEN
    return Ground.SILENCE if _has_spoken(signs) else Ground.NEVER_SPOKE
