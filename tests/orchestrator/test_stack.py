"""The supervisor with small processes in place of the system's own: deaths, restarts, stops, take-overs."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.embedded.processes import Identity, free_port, is_port_free
from orchestrator.stack import ChildSpec, CommandFailed, Ports, Stack, StackFailed
from orchestrator.stack.prepare import prepare_database, stop_units
from orchestrator.stack.table import asked_for, default_table

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.integration

EXTERNAL = {
    "PATH": os.defpath,
    "DATABASE_URL": "postgresql://elsewhere/db",
    "REDIS_URL": "redis://elsewhere/0",
    "CHANNEL_REDIS_URL": "redis://elsewhere/1",
    "WORKERS_RUNTIME": "process",
}
TOUCH_READY = """
import os, pathlib, time
pathlib.Path(os.environ["VAR_DIR"], "run", "ready", os.environ["STACK_NAME"]).touch()
print(os.environ["STACK_NAME"], "is ready", flush=True)
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN)" + TOUCH_READY
WITH_CHILDREN = """
import os, subprocess, sys, time
inside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
outside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
name = os.path.join(os.environ["VAR_DIR"], "children")
with open(name + ".new", "w") as stream:
    print(inside.pid, outside.pid, file=stream)
os.replace(name + ".new", name)
time.sleep(600)
"""


def python(name: str, script: str, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, argv=(sys.executable, "-c", script), **fields)


def sleeper(name: str) -> ChildSpec:
    return python(name, TOUCH_READY, ready_file=True)


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        time.sleep(0.01)


def alive(pid: int | None) -> bool:
    return pid is not None and Identity.of(pid) is not None


@pytest.fixture
def var_dir() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="stack-"))
    directory.chmod(0o711)
    yield directory / "var"
    shutil.rmtree(directory)


@pytest.fixture
def make_stack(var_dir: Path) -> Iterator[Callable[..., Stack]]:
    made: list[Stack] = []

    def make(*specs: ChildSpec, **options: Any) -> Stack:
        env = {**EXTERNAL, "STACK_TEST": "1"}
        stack = Stack(var_dir, env, table=lambda _: specs, **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop()


def test_an_answer_of_another_stack_at_our_port_is_not_taken_for_ours(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    port = free_port()
    argv = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    other = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not is_port_free(port))
        ours = python("web", "import time; time.sleep(600)", ready_url=f"http://127.0.0.1:{port}/")
        stack = make_stack(ours)

        stack.start()

        with pytest.raises(StackFailed, match="not ready after 2 s: web"):
            stack.wait_ready(2)
    finally:
        other.kill()
        other.wait()


def test_every_process_starts_and_says_that_it_is_ready(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    stack = make_stack(sleeper("one"), sleeper("two"))

    stack.start()
    stack.wait_ready(10)

    assert stack.pid("one") != stack.pid("two")
    assert "one is ready" in (var_dir / "run" / "logs" / "one.log").read_text()
    assert stack.status() == {"one": stack.pid("one"), "two": stack.pid("two")}


def test_killed_process_is_back_within_a_second_and_its_neighbour_stays(
    make_stack: Callable[..., Stack],
) -> None:
    stack = make_stack(sleeper("one"), sleeper("two"))
    stack.start()
    stack.wait_ready(10)
    first, neighbour = stack.pid("one"), stack.pid("two")

    stack.kill("one")
    until(lambda: stack.pid("one") not in (None, first), seconds=1.0)
    stack.wait_ready(10)

    assert not alive(first)
    assert stack.pid("two") == neighbour


def test_processes_of_a_dead_child_end_before_it_is_started_again(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    stack = make_stack(python("parent", WITH_CHILDREN))
    stack.start()
    until((var_dir / "children").exists)
    inside = int((var_dir / "children").read_text().split()[0])

    first = stack.pid("parent")
    stack.kill("parent")
    until(lambda: stack.pid("parent") not in (None, first))

    assert not alive(inside)


def test_process_that_cannot_live_is_tried_with_growing_pauses(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    starts = var_dir / "starts"
    script = f"open({str(starts)!r}, 'a').write('x')"
    stack = make_stack(python("broken", script), sleeper("fine"))

    stack.start()
    time.sleep(2.5)

    assert 2 <= len(starts.read_text()) <= 5
    assert alive(stack.pid("fine"))
    with pytest.raises(StackFailed, match=r"not ready after 0 s: broken"):
        stack.wait_ready(0.3)


def test_readiness_by_address_wants_an_answer_of_200(make_stack: Callable[..., Stack], var_dir: Path) -> None:
    port = free_port()
    argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
    missing = ChildSpec(name="web", argv=argv, ready_url=f"http://127.0.0.1:{port}/no-such-file")
    stack = make_stack(missing)
    stack.start()
    until(lambda: not is_port_free(port))

    with pytest.raises(StackFailed, match="web"):
        stack.wait_ready(0.5)
    stack.stop()

    present = ChildSpec(name="web", argv=argv, ready_url=f"http://127.0.0.1:{port}/")
    again = make_stack(present)
    again.start()
    again.wait_ready(10)
    assert again.pid("web")


def test_stop_leaves_nothing_not_even_what_changed_its_session(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    stack = make_stack(python("parent", WITH_CHILDREN), sleeper("one"))
    stack.start()
    until((var_dir / "children").exists)
    descendants = [int(pid) for pid in (var_dir / "children").read_text().split()]
    pids = [stack.pid("parent"), stack.pid("one"), *descendants]

    stack.stop()

    assert len(descendants) == 2
    assert not any(alive(pid) for pid in pids)


def test_stages_stop_in_order_and_stubborn_ones_are_killed(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    note = (
        "import signal, sys, time, os, pathlib\n"
        "def end(*_):\n"
        "    open(os.path.join(os.environ['VAR_DIR'], 'order'), 'a').write(os.environ['STACK_NAME'] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(15, end)\n"
        "pathlib.Path(os.environ['VAR_DIR'], 'run', 'ready', os.environ['STACK_NAME']).touch()\n"
        "time.sleep(600)\n"
    )
    stack = make_stack(
        python("last", note, stop_stage=2, ready_file=True),
        python("first", note, stop_stage=0, ready_file=True),
        python("stubborn", STUBBORN, stop_stage=1, stop_seconds=0.3, ready_file=True),
    )
    stack.start()
    stack.wait_ready(10)
    stubborn = stack.pid("stubborn")

    began = time.monotonic()
    stack.stop()

    assert (var_dir / "order").read_text().split() == ["first", "last"]
    assert not alive(stubborn)
    assert time.monotonic() - began < 5


def test_second_supervisor_is_refused_and_stops_nothing(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(sleeper("one"))
    stack.start()
    stack.wait_ready(10)
    rival = make_stack(sleeper("one"))

    with pytest.raises(StackFailed, match="already runs"):
        rival.start()
    rival.stop()

    assert alive(stack.pid("one"))


def test_names_left_out_do_not_run(make_stack: Callable[..., Stack]) -> None:
    stack = make_stack(sleeper("one"), sleeper("flower"), without=["flower"])

    stack.start()
    stack.wait_ready(10)

    assert list(stack.status()) == ["one"]
    assert stack.flower_url == ""


SUPERVISOR = """
import json, os, sys, time
from orchestrator.stack import ChildSpec, Stack
wire = json.loads(sys.argv[2])
specs = [ChildSpec(name=n, argv=(sys.executable, "-c", s), ready_file=r) for n, s, r in wire]
stack = Stack(sys.argv[1], dict(os.environ), table=lambda _: specs)
stack.start()
stack.wait_ready(20)
print("ready", flush=True)
time.sleep(600)
"""


def supervisor_process(
    var_dir: Path, specs: Sequence[ChildSpec], env: dict[str, str]
) -> "subprocess.Popen[str]":
    wire = json.dumps([(spec.name, spec.argv[2], spec.ready_file) for spec in specs])
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(var_dir), wire],
        stdout=subprocess.PIPE,
        text=True,
        env=env,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


def test_down_finds_the_processes_of_a_killed_supervisor(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    specs = [python("parent", WITH_CHILDREN), sleeper("one")]
    supervisor = supervisor_process(var_dir, specs, EXTERNAL)
    until((var_dir / "children").exists)
    descendants = [int(pid) for pid in (var_dir / "children").read_text().split()]

    supervisor.kill()
    supervisor.wait()
    stack = make_stack(*specs)
    pids = [pid for pid in stack.status().values() if pid]
    survived = [pid for pid in pids if alive(pid)]
    stack.down()

    assert len(survived) == 2
    assert not any(alive(pid) for pid in [*pids, *descendants])


def test_start_replaces_the_processes_of_a_killed_supervisor(
    make_stack: Callable[..., Stack], var_dir: Path
) -> None:
    supervisor = supervisor_process(var_dir, [sleeper("one")], EXTERNAL)
    supervisor.kill()
    supervisor.wait()
    stack = make_stack(sleeper("one"))
    before = stack.status()["one"]

    stack.start()
    stack.wait_ready(10)

    assert not alive(before)
    assert alive(stack.pid("one"))


def test_adopting_supervisor_keeps_running_processes(make_stack: Callable[..., Stack], var_dir: Path) -> None:
    supervisor = supervisor_process(var_dir, [sleeper("one")], EXTERNAL)
    supervisor.kill()
    supervisor.wait()
    stack = make_stack(sleeper("one"))
    before = stack.status()["one"]

    stack.start(adopt=True)
    stack.wait_ready(10)
    adopted = stack.pid("one")
    stack.kill("one")
    until(lambda: stack.pid("one") not in (None, before))

    assert adopted == before


def test_killed_embedded_server_is_back_with_its_port(var_dir: Path) -> None:
    env = {key: value for key, value in EXTERNAL.items() if key != "REDIS_URL"}
    stack = Stack(var_dir, env, table=lambda _: [sleeper("one")])
    try:
        stack.start()
        url = stack.child_env()["REDIS_URL"]
        first = stack.pid("broker")

        stack.kill("broker")
        until(lambda: stack.pid("broker") not in (None, first), seconds=2.0)
        second = stack.pid("broker")
        env_after = stack.child_env()
    finally:
        stack.stop()

    assert env_after["REDIS_URL"] == url
    assert env_after["DATABASE_URL"] == EXTERNAL["DATABASE_URL"]
    assert not alive(second)


def test_command_line_up_prints_where_and_stops_on_sigterm(var_dir: Path) -> None:
    names = ("web", "work", "flow", "ingest", "beat", "flower")
    argv = [sys.executable, "-m", "orchestrator.stack"]
    # Every process is left out and the database is somebody's: what remains is the supervisor itself.
    without = [word for name in names for word in ("--without", name)]
    env = {**EXTERNAL, "VAR_DIR": str(var_dir), "PYTHONPATH": str(ROOT)}

    up = subprocess.run(
        [*argv, "up", *without], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    down = subprocess.run([*argv, "down"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert up.returncode == 1
    assert "orchestrator.stack.database exited 1" in up.stderr
    assert (down.returncode, down.stdout) == (0, "stopped\n")


SERVE = """
import http.server, os, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
server.socket = socket.socket(fileno=int(os.environ["STACK_LISTEN_FD"]))
server.serve_forever()
"""


def web(ports: Ports) -> ChildSpec:
    return python("web", SERVE, serves_web=True, ready_url=f"http://127.0.0.1:{ports.web}/")


@pytest.fixture
def make_web(var_dir: Path) -> Iterator[Callable[..., Stack]]:
    made: list[Stack] = []

    def make(**options: Any) -> Stack:
        own = var_dir.parent / f"var-{len(made)}"
        made.append(Stack(own, EXTERNAL, table=lambda ports: [web(ports)], **options))
        return made[-1]

    yield make
    for stack in made:
        stack.stop()


def test_stacks_that_start_at_once_listen_at_different_ports(make_web: Callable[..., Stack]) -> None:
    stacks = [make_web() for _ in range(4)]
    together = threading.Barrier(len(stacks))

    def start(stack: Stack) -> None:
        together.wait()
        stack.start()

    with ThreadPoolExecutor(len(stacks)) as pool:
        list(pool.map(start, stacks))
    for stack in stacks:
        stack.wait_ready(30)
    answers = [httpx.get(f"{stack.web_url}/", trust_env=False).text for stack in stacks]

    assert len({stack.web_url for stack in stacks}) == len(stacks)
    assert len({stack.flower_url for stack in stacks}) == len(stacks)
    assert answers == [str(stack.pid("web")) for stack in stacks]


def test_who_asks_while_the_web_is_started_again_is_answered(make_web: Callable[..., Stack]) -> None:
    stack = make_web()
    stack.start()
    stack.wait_ready(30)
    first = stack.pid("web")

    stack.kill("web")
    until(lambda: stack.pid("web") is None)
    answer = httpx.get(f"{stack.web_url}/", trust_env=False, timeout=30).text

    assert answer not in ("", str(first))
    assert answer == str(stack.pid("web"))


def test_port_is_free_after_the_stop_and_refused_if_taken(make_web: Callable[..., Stack]) -> None:
    stack = make_web()
    stack.start()
    port = stack.ports.web

    stack.stop()
    was_free = is_port_free(port)
    with socket.create_server(("127.0.0.1", port)):
        refused = make_web(web_port=port)
        with pytest.raises(StackFailed, match=f"cannot listen at {port}"):
            refused.start()

    assert was_free


def test_adopting_supervisor_holds_the_port_again_for_another_web(var_dir: Path) -> None:
    first = Stack(var_dir, EXTERNAL, table=lambda ports: [web(ports)])
    first.start()
    first.wait_ready(30)
    # What a hand-over does, without the process that takes over.
    first._running().release()
    first._web_port.close()
    first._state.unlock()
    second = Stack(var_dir, EXTERNAL, table=lambda ports: [web(ports)])
    try:
        second.start(adopt=True)
        adopted = second.pid("web")
        second.kill("web")
        until(lambda: second.pid("web") not in (None, adopted))
        second.wait_ready(30)
        answer = httpx.get(f"{first.web_url}/", trust_env=False, timeout=30).text
    finally:
        second.stop()

    assert answer not in ("", str(adopted))


@pytest.mark.unit
def test_secrets_stay_out_of_command_lines() -> None:
    table = default_table(Ports(web=8000), flower_socket=Path("/run/flower.sock"))

    words = [word for spec in table for word in spec.argv]

    assert [spec.name for spec in table] == ["web", "work", "flow", "ingest", "beat", "flower"]
    assert not any("password" in word.casefold() or "auth" in word for word in words)


@pytest.mark.unit
@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["entrance"]),
        ({"INFRA_LOCAL_TARGET": "false"}, []),
        ({"INFRA_LOCAL_TARGET": "on", "TELEGRAM_BOT_TOKEN": "1:x"}, ["entrance", "chat", "runbot"]),
    ],
)
def test_settings_decide_about_the_entrance_and_the_bot(settings: dict[str, str], names: list[str]) -> None:
    assert [spec.name for spec in asked_for(settings)] == names


@pytest.mark.unit
def test_nothing_long_runs_where_the_bot_s_messages_are_sent() -> None:
    chat = next(spec for spec in asked_for({"TELEGRAM_BOT_TOKEN": "1:x"}) if spec.name == "chat")
    others = [" ".join(spec.argv) for spec in default_table(Ports(web=1), flower_socket=Path("/run/f.sock"))]

    assert chat.argv[chat.argv.index("--queues") + 1] == "bot"
    assert chat.env["REMAP_SIGTERM"] == "SIGQUIT"
    assert not any(re.search(r"--queues \S*\bbot\b", words) for words in others)


@pytest.mark.unit
def test_ingest_is_not_told_to_shut_down_softly() -> None:
    table = default_table(Ports(web=8000), flower_socket=Path("/run/flower.sock"))

    soft = [spec.name for spec in table if spec.env.get("REMAP_SIGTERM") == "SIGQUIT"]

    assert soft == ["work", "flow"]


def fake_checkout(root: Path, *, code: str) -> Path:
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "base.txt").write_text("nothing\n")
    for package in ("apps", "orchestrator"):
        (root / package).mkdir()
    (root / "orchestrator" / "stack").mkdir()
    (root / "orchestrator" / "stack" / "database.py").write_text(code)
    return root


def test_migrations_run_again_only_after_a_change(var_dir: Path) -> None:
    root = fake_checkout(var_dir / "checkout", code="print('ran')")
    (var_dir / "postgres").mkdir()
    env = {"PATH": os.defpath}
    options: dict[str, Any] = {"env": env, "var_dir": var_dir, "root": root, "remember": True}

    first = prepare_database(**options)
    second = prepare_database(**options)
    (root / "apps" / "models.py").write_text("changed = True\n")
    third = prepare_database(**options)

    assert (first, second, third) == ("ran\n", "", "ran\n")


def test_failing_command_says_what_it_printed(var_dir: Path) -> None:
    root = fake_checkout(var_dir / "checkout", code="raise SystemExit('no such table')")

    with pytest.raises(CommandFailed, match=r"stack.database exited 1:\nno such table"):
        prepare_database({"PATH": os.defpath}, var_dir=var_dir, root=root, remember=False)


def test_units_of_this_state_directory_are_stopped_and_no_others(var_dir: Path) -> None:
    root = fake_checkout(var_dir / "checkout", code="")
    (root / "apps" / "units").mkdir()
    code = "import sys; open('asked', 'w').write(str(sys.argv[1:]))"
    (root / "apps" / "units" / "__main__.py").write_text(code)

    stop_units({"PATH": os.defpath}, var_dir=var_dir, root=root)
    before = (root / "asked").exists()
    (var_dir / "units").mkdir()
    stop_units({"PATH": os.defpath}, var_dir=var_dir, root=root)

    assert not before
    assert (root / "asked").read_text() == str(["stop-all", "--root", str(var_dir / "units")])


def test_supervisor_stops_on_sigterm_and_ends_its_processes(var_dir: Path) -> None:
    supervisor = supervisor_process(var_dir, [sleeper("one")], EXTERNAL)
    children = json.loads((var_dir / "run" / "children.json").read_text())
    down = Stack(var_dir, EXTERNAL, table=lambda _: [sleeper("one")])

    down.down()

    assert supervisor.wait(timeout=5) == -signal.SIGTERM
    assert not alive(children["one"]["pid"])
