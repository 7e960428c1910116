"""The kinds of processes that die in the journeys; each is found by its recorded pid."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import psutil
import psycopg

from tests.journeys.world import World, eventually

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
    "runbot",
    "entrance",
    "chat",
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
    # A worker that was asked for takes a moment to have a process.
    if not eventually(lambda: bool(world.worker_processes(task_id)), seconds=15):
        return False
    os.kill(world.worker_processes(task_id)[0], signal.SIGKILL)
    return True


def held(world: World, kind: str, stage: str) -> AbstractContextManager[None]:
    """Keep a stage open that is over before its wrapper can be found; nothing for all others."""
    return _without_turns(world) if (kind, stage) == ("wrapper", "worker_ready") else nullcontext()


@contextmanager
def _without_turns(world: World) -> Iterator[None]:
    """Let nobody add or change a turn: readers go on, and writers wait for us as for any long transaction."""
    with psycopg.connect(world.database_url) as connection:
        connection.execute("LOCK TABLE workers_turn IN SHARE ROW EXCLUSIVE MODE")
        yield
