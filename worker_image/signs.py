"""What an agent's processes, words, files and connections tell of it: what its liveness is judged by.

Every age is in seconds at the moment of the heartbeat, by the wrapper's own clock, so no two clocks are ever
compared. The judgement itself is the control plane's (`apps.workers.liveness`).
"""

from typing import Annotated

from pydantic import Field

from worker_image.message import Count, Message

MAX_NAME_CHARS = 40

Age = Annotated[float, Field(ge=0)]
ProcessName = Annotated[str, Field(max_length=MAX_NAME_CHARS, pattern=r"^[\x20-\x7e]*$")]


class AgentSigns(Message):
    """The signs of life of one run of an agent."""

    seconds: Age
    """Since it was started."""
    is_alive: bool = True
    is_frozen: bool = False
    """It was stopped by a signal and cannot move."""
    output_age: Age | None = None
    """Since it last printed something; none: it has not yet."""
    event_age: Age | None = None
    """Since its transcript last grew."""
    traffic_age: Age | None = None
    """Since bytes last went over one of its own connections."""
    cpu_age: Age | None = None
    """Since it last computed in earnest; an idle agent's timers do not count."""
    file_age: Age | None = None
    """Since a file of its checkout was last seen changed."""
    is_call_open: bool | None = None
    """Whether it waits for a tool that it called, by its own events; none: they do not tell."""
    tools: Count = 0
    """Living processes below it that are not part of the agent itself."""
    tool: ProcessName = ""
    """Name of the most telling one: the end of the oldest chain."""
    tool_age: Age | None = None
    """Age of the oldest of them."""
    youngest_tool_age: Age | None = None
    is_terminal_read: bool = False
    """All that runs below it waits for somebody to type at a terminal that nobody sits at."""
