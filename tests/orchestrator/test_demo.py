"""A demo that cannot start: what it says, its exit code, and that nothing is left running."""

import io
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator import demo
from orchestrator.embedded import ServerFailed
from orchestrator.embedded.processes import Identity
from orchestrator.stack import ChildSpec, CommandFailed, Ports, Stack

pytestmark = pytest.mark.integration

# Only the broker is the stack's own: the smallest stack that has a detached server to leak.
ELSEWHERE = {
    "PATH": os.defpath,
    "DATABASE_URL": "postgresql://elsewhere/db",
    "CHANNEL_REDIS_URL": "redis://elsewhere/1",
}
SLEEPER = ChildSpec(name="one", argv=(sys.executable, "-c", "import time; time.sleep(600)"))


@pytest.fixture
def var_dir() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="demo-"))
    directory.chmod(0o711)
    yield directory / "var"
    shutil.rmtree(directory)


class FailingStack:
    """Makes a stack whose process table does something once the servers run."""

    def __init__(self, var_dir: Path, action: Callable[[], Sequence[ChildSpec]]) -> None:
        self.var_dir = var_dir
        self.action = action
        self.broker: int | None = None

    def __call__(self, *, without: Sequence[str]) -> Stack:
        self.stack = Stack(self.var_dir, ELSEWHERE, without=without, table=self._table)
        return self.stack

    def _table(self, _: Ports) -> Sequence[ChildSpec]:
        self.broker = self.broker or self.stack.pid("broker")
        return self.action() if self.broker else ()


def fail(error: BaseException) -> Callable[[], Sequence[ChildSpec]]:
    def action() -> Sequence[ChildSpec]:
        raise error

    return action


def interrupt(number: int) -> Callable[[], Sequence[ChildSpec]]:
    def action() -> Sequence[ChildSpec]:
        os.kill(os.getpid(), number)
        return ()

    return action


def no_such_program() -> Sequence[ChildSpec]:
    return (SLEEPER, ChildSpec(name="two", argv=("/nowhere/program",)))


def is_alive(pid: int) -> bool:
    return Identity.of(pid) is not None


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (fail(CommandFailed("orchestrator.stack.database exited 1:\n[boom]")), "exited 1:\n[boom]"),
        (fail(ServerFailed("postgres did not start")), "postgres did not start"),
        (no_such_program, "/nowhere/program"),
    ],
)
def test_failed_start_is_one_message_and_leaves_no_server(var_dir, capsys, action, message):
    failing = FailingStack(var_dir, action)

    code = demo.main(["a list of books"], failing)

    assert code == 1
    printed = capsys.readouterr().out
    assert printed.startswith("The demo could not go on: ")
    assert message in printed
    assert failing.broker is not None
    assert not is_alive(failing.broker)
    assert not any(failing.stack.status().values())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_during_the_start_stops_what_was_started(var_dir, capsys, number, code):
    handler = signal.getsignal(number)
    failing = FailingStack(var_dir, interrupt(number))

    found = demo.main(["a list of books"], failing)

    assert found == code
    assert capsys.readouterr().out == "Stopped.\n"
    assert failing.broker is not None
    assert not is_alive(failing.broker)
    assert signal.getsignal(number) is handler


def test_process_that_never_gets_ready_ends_the_demo_and_the_stack(var_dir, capsys, monkeypatch):
    silent = ChildSpec(name="silent", argv=SLEEPER.argv, ready_file=True)
    monkeypatch.setattr(demo, "_READY_SECONDS", 0.2)
    failing = FailingStack(var_dir, lambda: (silent,))

    code = demo.main(["a list of books"], failing)

    assert code == 1
    assert "not ready after" in capsys.readouterr().out
    assert not any(failing.stack.status().values())


def test_stack_of_another_process_is_left_alone(var_dir, capsys):
    owner = FailingStack(var_dir, lambda: (SLEEPER,))
    running = owner(without=())
    running.start()
    try:
        code = demo.main(["a list of books"], FailingStack(var_dir, lambda: (SLEEPER,)))

        assert code == 1
        assert "the stack already runs" in capsys.readouterr().out.replace("\n", " ")
        assert running.pid("one") is not None
        assert running.pid("broker") is not None
    finally:
        running.stop()


def test_line_is_printed_once_for_each_thing_it_comes_to_say():
    output = io.StringIO()
    show = demo.line_printer(Console(file=output, width=80))
    card = {"lines": [{"event_id": 1, "text": "Acknowledged"}, {"event_id": 2, "text": "Being prepared"}]}
    building = {"lines": [card["lines"][0], {"event_id": 2, "text": "Its image is being built"}]}

    for frame in (card, card, building, building):
        show(frame)

    assert output.getvalue() == "  Acknowledged\n  Being prepared\n  Its image is being built\n"
