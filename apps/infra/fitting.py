"""Whether a release fits a server: now, later or never, and why not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Fits(StrEnum):
    """When."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Reason(StrEnum):
    """Why not now; in the order of what is told when several servers refuse."""

    NO_PORTS = "no_capacity"
    LOW_MEMORY = "low_memory"
    LOW_DISK = "low_disk"
    NO_FRESH_METRICS = "no_fresh_metrics"
    TOO_LARGE = "never_fits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a release takes."""

    ports: int
    memory_mb: int
    disk_mb: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a server has; None: unknown, which is not zero and not enough either."""

    server_id: int
    ports: int  # of its range
    free_ports: int
    # Of the last measurement; age None: nobody ever measured it, and its operator's word has to do.
    age_seconds: float | None = None
    memory_mb: int | None = None
    free_memory_mb: int | None = None
    free_disk_mb: int | None = None
    # Given away since that measurement, which does not show it yet.
    promised_mb: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Where a release fits, or why nowhere."""

    fits: Fits
    server_id: int | None = None
    reason: Reason | None = None


def decide(rooms: Sequence[Room], need: Need, *, fresh_seconds: float) -> Decision:
    """Choose the first server with room.

    Args:
        rooms: what the servers have, in the order of preference.
        need: what the release takes.
        fresh_seconds: a measurement that is older tells nothing any more.

    """
    refusals = []
    for room in rooms:
        reason = refusal(room, need, fresh_seconds=fresh_seconds)
        if reason is None:
            return Decision(fits=Fits.NOW, server_id=room.server_id)
        refusals.append(reason)
    passing = [reason for reason in Reason if reason in refusals and reason is not Reason.TOO_LARGE]
    if passing:
        return Decision(fits=Fits.LATER, reason=passing[0])
    if refusals:
        return Decision(fits=Fits.NEVER, reason=Reason.TOO_LARGE)
    return Decision(fits=Fits.LATER, reason=Reason.NO_PORTS)


def refusal(room: Room, need: Need, *, fresh_seconds: float) -> Reason | None:
    """Say why a release does not fit one server now; None: it does."""
    if room.ports < need.ports or (room.memory_mb is not None and room.memory_mb < need.memory_mb):
        return Reason.TOO_LARGE
    if room.free_ports < need.ports:
        return Reason.NO_PORTS
    if room.age_seconds is None:
        return None
    if room.age_seconds > fresh_seconds or room.free_memory_mb is None or room.free_disk_mb is None:
        return Reason.NO_FRESH_METRICS
    if room.free_memory_mb - room.promised_mb < need.memory_mb:
        return Reason.LOW_MEMORY
    return Reason.LOW_DISK if room.free_disk_mb < need.disk_mb else None
