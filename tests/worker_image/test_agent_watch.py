"""What is seen of real processes: a tool, a frozen agent, a terminal, the bytes of a connection, an end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker_image import connections
from worker_image.agent_run import AgentRun
from worker_image.agent_watch import AgentWatch
from worker_image.capture import Capture
from worker_image.signs import AgentSigns

pytestmark = pytest.mark.unit

PATIENCE_SECONDS = 20.0
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
SPINNING = [sys.executable, "-c", "while True: pass"]
TYPING = [sys.executable, "-c", "import pty; pty.spawn(['sh', '-c', 'read answer'])"]


def _below(command: list[str]) -> list[str]:
    """Return a command that runs another one as its child, as an agent does a tool."""
    code = f"import subprocess; subprocess.run({command!r}, stdin=subprocess.DEVNULL)"
    return [sys.executable, "-c", code]


@contextlib.contextmanager
def _agent(command: list[str], home: Path) -> Iterator[tuple[AgentWatch, AgentRun, subprocess.Popen[bytes]]]:
    run = AgentRun(Capture(), Capture())
    with subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            run.pid = process.pid
            yield AgentWatch(run, home), run, process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _until(watch: AgentWatch, holds: Callable[[AgentSigns], bool]) -> AgentSigns:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (signs := watch.sample()) is None or not holds(signs):
        assert time.monotonic() < deadline, signs
        time.sleep(0.1)
    return signs


def test_run_that_has_not_started_shows_nothing(tmp_path: Path) -> None:
    watch = AgentWatch(AgentRun(Capture(), Capture()), tmp_path)

    signs = watch.sample()

    assert signs is None


def test_program_below_the_agent_is_a_tool_and_is_named(tmp_path: Path) -> None:
    with _agent(_below(["sleep", "60"]), tmp_path) as (watch, _, _):
        signs = _until(watch, lambda seen: seen.tool == "sleep")

    assert signs.is_alive
    assert signs.tools == 1
    assert not signs.is_terminal_read


def test_part_of_the_agent_itself_is_no_tool(tmp_path: Path) -> None:
    program = tmp_path / "codex"
    program.symlink_to("/bin/sleep")
    with _agent(_below([str(program), "60"]), tmp_path) as (watch, run, process):
        time.sleep(1.0)
        signs = watch.sample()

    assert run.pid == process.pid
    assert signs is not None
    assert signs.tools == 0


def test_program_that_waits_for_somebody_to_type_is_seen(tmp_path: Path) -> None:
    with _agent(_below(TYPING), tmp_path) as (watch, _, _):
        signs = _until(watch, lambda seen: seen.is_terminal_read)

    assert signs.tools >= 2


def test_frozen_agent_is_seen(tmp_path: Path) -> None:
    with _agent(SLEEP, tmp_path) as (watch, _, process):
        process.send_signal(signal.SIGSTOP)
        signs = _until(watch, lambda seen: seen.is_frozen)

    assert signs.is_alive


def test_agent_that_computes_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    with _agent(SPINNING, tmp_path) as (watch, _, _):
        busy = _until(watch, lambda seen: seen.cpu_age == 0.0)

    with _agent(["sleep", "60"], tmp_path) as (watch, _, _):
        time.sleep(0.5)
        idle = watch.sample()

    assert busy.is_alive
    assert idle is not None
    assert idle.cpu_age is None


def test_agent_that_is_gone_is_not_alive(tmp_path: Path) -> None:
    with _agent(SLEEP, tmp_path) as (watch, _, process):
        process.kill()
        signs = _until(watch, lambda seen: not seen.is_alive)

    assert signs.tools == 0


def test_output_and_events_are_signs_with_their_age(tmp_path: Path) -> None:
    moment = 100.0
    run = AgentRun(Capture(), Capture())
    watch = AgentWatch(run, tmp_path, now=lambda: moment)
    run.pid = os.getpid()
    run.stdout.feed(b"words\n")
    watch.see_line('{"type": "turn.started"}')
    first = watch.sample()

    moment = 130.0
    second = watch.sample()

    assert first is not None
    assert second is not None
    assert (first.output_age, second.output_age) == (0.0, 30.0)
    assert (first.event_age, second.event_age) == (0.0, 30.0)
    assert second.is_call_open is False


def test_only_bytes_that_were_read_count_as_carried() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        peer, _ = server.accept()
        peer.sendall(b"x" * 1_000)
        time.sleep(0.1)
        inode = os.fstat(client.fileno()).st_ino
        unread = connections.bytes_carried([os.getpid()])
        client.recv(1_000)
        read = connections.bytes_carried([os.getpid()])
        peer.close()

    assert unread is not None
    assert read is not None
    assert read[inode] - unread[inode] == 1_000


def test_process_without_connections_has_carried_nothing() -> None:
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL) as child:
        carried = connections.bytes_carried([child.pid])
        child.kill()

    assert carried == {}
