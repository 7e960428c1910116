"""What is recorded: for each verdict, stories that real agents are put through."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.model_server.script import Call, Endless, Refuse, Run, Say, Stall, Step

HONEST_SECONDS = 305
SLEEPER = f"python3 -c 'import time; time.sleep({HONEST_SECONDS + 60})'"
SERVER = "python3 -m http.server 0 --bind 127.0.0.1"
PROMPTER = """python3 -c 'import pty; pty.spawn(["bash", "-c", "read answer"])'"""
AGENTS = ("claude", "codex", "droid")
ENDLESS = Endless(every_seconds=1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One recording to make.

    Attributes:
        mark: from when the label is true: ``start``, ``asked`` (the model gets its ``nth`` request),
            ``ended`` (the turn is over), ``act`` (when we did something to it).
        act: what we do to it, ``act_after`` seconds after the model was asked: ``kill``, ``freeze`` or
            ``pause``.
        seconds: how long to go on after the mark.
        idle: seconds before the turn reaches the agent's container.
        prepare: seconds its checkout takes.
        every: seconds between two looks.

    """

    label: str
    agent: str
    story: str
    steps: tuple[Step, ...] = ()
    mark: str = "asked"
    nth: int = 1
    act: str | None = None
    act_after: float = 0.0
    seconds: float = 60.0
    idle: float = 0.0
    prepare: float = 0.0
    every: float = 5.0
    is_talker: bool = False

    @property
    def name(self) -> str:
        """The name of the recording; no name begins another."""
        return f"{self.label}-{self.agent}-{self.story}-end"


def plans() -> Iterator[Plan]:
    """Yield every recording to make, the long ones first."""
    for agent in AGENTS:
        yield from _tools(agent)
    for agent in AGENTS:
        yield from _stalls(agent)
        yield from _waits(agent)
        yield from _thoughts(agent)
        yield from _deaths(agent)
        yield from _starts(agent)


def _tools(agent: str) -> Iterator[Plan]:
    plan = Plan(label="tool_running", agent=agent, story="", seconds=HONEST_SECONDS)
    printing = "for i in $(seq 360); do echo $i; python3 -c 'import time; time.sleep(1)'; done"
    yield replace(plan, story="sleeps", steps=long_tool(agent, SLEEPER))
    below = f"bash -c {shlex.quote(SLEEPER)}; true"
    yield replace(plan, story="sleeps-below-a-shell", steps=long_tool(agent, below))
    yield replace(plan, story="prints", steps=long_tool(agent, printing))
    yield replace(plan, story="second-of-two", nth=2, steps=(Run("ls"), *long_tool(agent, SLEEPER)))


def _stalls(agent: str) -> Iterator[Plan]:
    plan = Plan(label="stalled", agent=agent, story="", seconds=110)
    yield replace(plan, story="first-answer", steps=(Stall(),))
    yield replace(plan, story="after-a-tool", steps=(Run("ls"), Stall()), nth=2)
    background = (in_background(agent, SERVER), Stall())
    yield replace(plan, story="with-a-server-left", steps=background, nth=2, seconds=170)
    yield replace(plan, story="frozen", steps=(ENDLESS,), mark="act", act="freeze", act_after=15)
    frozen = long_tool(agent, SLEEPER)
    yield replace(plan, story="frozen-in-a-tool", steps=frozen, mark="act", act="freeze", act_after=15)


def _waits(agent: str) -> Iterator[Plan]:
    plan = Plan(label="waiting_human", agent=agent, story="", mark="ended", seconds=20)
    yield replace(plan, story="answered", steps=(Say("Which colour?"),), is_talker=True)
    yield replace(plan, story="answered-after-work", steps=(Run("ls"), Say("Done.")))
    yield replace(plan, story="paused", steps=(Say("Which colour?"),), is_talker=True, act="pause")
    asked = long_tool(agent, PROMPTER)
    yield replace(plan, story="terminal", steps=asked, mark="asked", seconds=130)


def _thoughts(agent: str) -> Iterator[Plan]:
    plan = Plan(label="thinking", agent=agent, story="", seconds=100)
    yield replace(plan, story="long", steps=(Say("Done.", after_seconds=400),))
    yield replace(plan, story="speaks", steps=(ENDLESS,))
    yield replace(plan, story="after-a-tool", steps=(Run("ls"), Say("Done.", after_seconds=400)), nth=2)
    background = (in_background(agent, SERVER), Say("Done.", after_seconds=400))
    yield replace(plan, story="with-a-server-left", steps=background, nth=2, seconds=120)
    yield replace(plan, story="short-silence", steps=(Stall(),), seconds=45)
    if agent != "codex":  # which gives up within eight seconds
        yield replace(plan, story="refused-for-now", steps=(Refuse(429),), seconds=20)


def _deaths(agent: str) -> Iterator[Plan]:
    plan = Plan(label="dead", agent=agent, story="", mark="act", act="kill", act_after=12, seconds=11)
    yield replace(plan, story="thinking", steps=(Say("Done.", after_seconds=400),))
    yield replace(plan, story="speaking", steps=(ENDLESS,))
    yield replace(plan, story="in-a-tool", steps=long_tool(agent, SLEEPER))
    yield replace(plan, story="stalled", steps=(Stall(),), act_after=80)


def _starts(agent: str) -> Iterator[Plan]:
    plan = Plan(label="starting", agent=agent, story="", mark="start", every=1.0, steps=(Stall(),))
    yield replace(plan, story="container", seconds=0.2, every=0.1, idle=30)
    yield replace(plan, story="turn-on-its-way", seconds=12, idle=30)
    yield replace(plan, story="checkout", seconds=18, idle=1, prepare=30)
    # A heartbeat falls into the agent's first moments.
    yield replace(plan, story="agent", seconds=7, idle=4.9)


def long_tool(agent: str, command: str) -> tuple[Step, ...]:
    """Return the steps of one tool that may take ten minutes."""
    match agent:
        case "claude":
            words = {"command": command, "description": "Run", "timeout": 600_000}
            return (Call("Bash", words),)
        case "droid":
            return (Call("Execute", {"command": command, "summary": "Run", "timeout": 600}),)
        case _:
            # Codex gives a long command back after thirty seconds, and its model asks again.
            poll = Call("write_stdin", {"session_id": 0, "chars": "", "yield_time_ms": 300_000})
            return (Call("exec_command", {"cmd": command, "yield_time_ms": 30_000}), *([poll] * 40))


def in_background(agent: str, command: str) -> Step:
    """Return the step of a program that the agent does not wait for."""
    match agent:
        case "claude":
            return Call("Bash", {"command": command, "description": "Serve", "run_in_background": True})
        case "droid":
            return Call("Execute", {"command": f"{command} >/dev/null 2>&1 &", "summary": "Serve"})
        case _:
            return Call("exec_command", {"cmd": command, "yield_time_ms": 1_000})
