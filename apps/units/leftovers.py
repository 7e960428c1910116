"""Finding and killing what is left of a unit whose shim was killed."""

import os
import signal
from typing import Any

from apps.units import layout, processes


def kill(process: Any, foreign_uids: set[int]) -> list[int]:
    """Kill every process that still belongs to a unit and return their pids; empty means none is left.

    Args:
        process: the unit's ``process.json``.
        foreign_uids: uids that other living units use.
    """
    found = _find(process, foreign_uids)
    for pid in found:
        processes.send(pid, signal.SIGKILL)
    return found


def _find(process: Any, foreign_uids: set[int]) -> list[int]:
    """Recognise members by descent, by the inherited cookie, and by a uid that nobody else uses.

    Without uids of their own a process that left the session and cleared its
    environment after the shim's death is not found: there is no isolation then.
    """
    everyone = [found for found in processes.snapshot() if found.is_alive and found.pid != os.getpid()]
    cookie = f"{layout.COOKIE}={process['cookie']}"
    uid = process["uid"] if process["uid"] not in foreign_uids else None
    members = set[int]()
    if processes.is_same(process["pid"], process["start_ticks"]):
        members |= {process["pid"], *processes.descendants(process["pid"])}
        # While the leader lives, its session number cannot belong to anybody else.
        members |= {found.pid for found in everyone if found.session == process["pid"]}
    for found in everyone:
        is_ours = uid is not None and processes.owner(found.pid) == uid
        if is_ours or processes.has_variable(found.pid, cookie):
            members.add(found.pid)
    return sorted(members)
