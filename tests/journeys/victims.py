"""The kinds of processes that die in the journeys; each is found by its recorded pid."""

import os
import signal

import psutil

from tests.journeys.world import World

KINDS = (
    "web",
    "work",
    "work-child",
    "flow",
    "flow-child",
    "ingest",
    "beat",
    "wrapper",
    "broker",
    "channel",
    "postgres",
)


def kill(world: World, kind: str, task_id: str) -> bool:
    """SIGKILL one process of a kind; False if there is none at this moment."""
    if kind == "wrapper":
        return _kill_wrapper(world, task_id)
    if kind.endswith("-child"):
        return _kill_child(world, kind.removesuffix("-child"))
    if world.stack.pid(kind) is None:
        return False
    world.stack.kill(kind)
    return True


def _kill_child(world: World, name: str) -> bool:
    pid = world.stack.pid(name)
    children = psutil.Process(pid).children() if pid else []
    busiest = sorted(children, key=lambda child: sum(child.cpu_times()[:2]), reverse=True)
    if not busiest:
        return False
    os.kill(busiest[0].pid, signal.SIGKILL)
    return True


def _kill_wrapper(world: World, task_id: str) -> bool:
    processes = world.worker_processes(task_id)
    if not processes:
        return False
    os.kill(processes[0], signal.SIGKILL)
    return True
