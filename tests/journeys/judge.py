"""Says how a worker that was struck may have ended, and what it has lost. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

#: How a worker ended: status, code of its failure, exit code of its container (None: it does not matter).
End = tuple[str, str | None, int | None]

SUCCEEDED: Final[End] = ("succeeded", None, None)
KILLED: Final[End] = ("crashed", "worker_exited", 137)
OUT_OF_MEMORY: Final[End] = ("crashed", "out_of_memory", 137)
#: It obeyed a SIGTERM that was not ours.
STOPPED: Final[End] = ("failed", "worker_stopped", 0)
#: Its daemon died as it started it, and cannot take it again.
LOST: Final[End] = ("crashed", "container_lost", None)

MAX_LOST_SECONDS: Final = 30.0
#: From the kill to the row's end, on a machine that does all this at once and with a daemon to be restarted.
MAX_END_SECONDS: Final = 60.0
#: The first to strike need not be the first to kill: memory takes a while to fill, and a daemon that stops
#: leaves its containers ten seconds.
_OVERLAP_SECONDS: Final = 20.0
_CLOCK_SECONDS: Final = 0.1


class Stage(StrEnum):
    """What a worker was about when it was struck."""

    WAITING = "waiting"  # it had no container yet
    STARTING = "starting"  # its container was being made, or had not said a word
    WORKING = "working"
    DONE = "done"  # its turn was over; nobody had told it to go
    LEAVING = "leaving"  # it had been told to go


@dataclass(frozen=True, kw_only=True, slots=True)
class Strike:
    """One kill that a worker lived to see."""

    kill: int  # its number
    kind: str
    at: float
    stage: Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What may come of a kill: ends, and whether the worker may also live on."""

    ends: frozenset[End] = frozenset()
    may_live: bool = True


_NONE: Final = Effect()
_DAEMON: Final = {
    # Without a container, or with one that was not started, it waits for the daemon and begins.
    Stage.WAITING: _NONE,
    Stage.STARTING: Effect(ends=frozenset({STOPPED, KILLED})),
    Stage.WORKING: Effect(ends=frozenset({STOPPED, KILLED}), may_live=False),
    # It may be released at the same moment.
    Stage.DONE: Effect(ends=frozenset({STOPPED, KILLED, SUCCEEDED}), may_live=False),
    Stage.LEAVING: _NONE,
}
#: A daemon that is killed may have made a container, and begun to start it.
_DAEMON_KILLED: Final = {**_DAEMON, Stage.STARTING: Effect(ends=frozenset({STOPPED, KILLED, LOST}))}


def _personal(end: End) -> dict[Stage, Effect]:
    killed = Effect(ends=frozenset({end}), may_live=False)
    done = Effect(ends=frozenset({end, SUCCEEDED}), may_live=False)
    return {Stage.STARTING: killed, Stage.WORKING: killed, Stage.DONE: done, Stage.LEAVING: _NONE}


#: What each kind of kill does at each stage; a Celery process takes nothing with it.
EFFECTS: Final = {
    "container": _personal(KILLED),
    "oom": _personal(OUT_OF_MEMORY),
    "daemon-stop": _DAEMON,
    "daemon-kill": _DAEMON_KILLED,
}


def cause_of(strikes: Sequence[Strike]) -> Strike | None:
    """Return the first strike that nobody survives."""
    return next((strike for strike in strikes if not _effect(strike).may_live), None)


def right_ends(strikes: Sequence[Strike]) -> frozenset[End]:
    """Return how a worker may have ended that saw these kills, in their order."""
    cause = cause_of(strikes)
    ends = set() if cause else {SUCCEEDED}
    for strike in strikes:
        if cause is None or strike.at <= cause.at + _OVERLAP_SECONDS:
            ends |= _effect(strike).ends
    return frozenset(ends)


def killer_of(strikes: Sequence[Strike], status: str) -> Strike | None:
    """Return the kill that a worker's end is due to; None if it is due to none."""
    if status == "succeeded":
        return None
    return cause_of(strikes) or next((one for one in reversed(strikes) if _effect(one).ends), None)


def problems_of_end(strikes: Sequence[Strike], row: dict[str, Any]) -> list[str]:
    """Return what is wrong with how, and how soon, a worker ended."""
    end: End = (row["status"], row["code"], row["exit_code"])
    seen = [f"{strike.kind} while {strike.stage}" for strike in strikes] or ["no kill"]
    problems = []
    if not any(end[:2] == right[:2] and right[2] in (None, end[2]) for right in right_ends(strikes)):
        problems.append(f"ended as {end} after {', '.join(seen)}")
    if bool(row["oom_killed"]) != (row["code"] == "out_of_memory"):
        problems.append(f"oom_killed is {row['oom_killed']} for {row['code']}")
    if row["code"] and not {*row["turn_codes"]} <= {row["code"], "worker_stopped"}:
        problems.append(f"its turns ended as {row['turn_codes']}")
    killer = killer_of(strikes, row["status"])
    if killer is not None and row["finished"] - killer.at > MAX_END_SECONDS:
        problems.append(f"ended {row['finished'] - killer.at:.1f} s after the kill")
    return problems


def losses(
    *,
    written: Sequence[float],
    kept: Sequence[float],
    made: Sequence[str],
    stored: Sequence[str],
    died: float,
) -> dict[str, Any]:
    """Compare what was on a worker's disk when it died with what is stored of it.

    Args:
        written: the time of every line on its disk.
        kept: those that are stored.
        made: its commits.
        stored: the commits that are stored.
        died: when it was killed; it may have written on for a moment.

    """
    lost = written[len(kept) :]
    moment = max(died, written[-1]) if lost else died
    return {
        "lines": len(written),
        "lines_stored": len(kept),
        "lost_seconds": round(moment - lost[0], 1) if lost else 0.0,
        "lost_from": lost[0] if lost else None,
        "is_altered": list(kept) != list(written[: len(kept)]),
        "commits": len(made),
        "lost_commits": len(set(made) - set(stored)),
    }


def problems_of_losses(found: dict[str, Any], row: dict[str, Any]) -> list[str]:
    """Return what is wrong with what a worker lost, and with what its row says of it."""
    problems = []
    if found["is_altered"]:
        problems.append("the stored notes are not those that were written")
    if found["lost_seconds"] > MAX_LOST_SECONDS:
        problems.append(f"lost {found['lost_seconds']} s of edits")
    if found["lost_commits"]:
        problems.append(f"lost {found['lost_commits']} of {found['commits']} commits")
    since = found["lost_from"]
    if since is not None and (row["lost_since"] is None or row["lost_since"] > since + _CLOCK_SECONDS):
        problems.append("the row does not say that edits were lost")
    return problems


def _effect(strike: Strike) -> Effect:
    return EFFECTS.get(strike.kind, {}).get(strike.stage, _NONE)
