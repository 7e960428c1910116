"""What the scripted model does, as data: a scenario is a pattern in the prompt and a list of steps.

A step answers one request. Which step is due is read from the conversation itself: the number of answers the
model has given since the prompt. So a client that repeats a request gets the same step again, two
conversations never disturb each other, and a second prompt in one conversation begins its own scenario.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Say:
    """Say a text and end the turn."""

    text: str
    after_seconds: float = 0.0
    """How long the model thinks first; the stream is open and shows signs of life."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run a shell command by whichever shell tool the client offers, perhaps after saying what for."""

    command: str
    after_seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool of the client by its name."""

    tool: str
    input: Mapping[str, object]
    after_seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Recall:
    """Say every prompt of this conversation, the present one too: shows what was handed back to the model.

    What the client itself adds is left out: standing orders quote the very block that ends an answer.
    """


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an HTTP error (401, 429, 500, 529), the first `times` requests or all."""

    status: int
    times: int | None = None


@dataclass(frozen=True, slots=True)
class Stall:
    """Begin an answer and then send nothing, or only signs of life, until the client goes away."""

    with_pings: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """Begin an answer and end the stream in the middle of it."""

    text: str = "I begin and"


@dataclass(frozen=True, slots=True)
class Endless:
    """Say one word after the other and never end."""

    word: str = "and "
    every_seconds: float = 0.02


Step = Say | Run | Call | Recall | Refuse | Stall | Truncate | Endless
Answer = Say | Run | Call
"""A step with everything known that is to be put on the wire."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the model does about a prompt that contains `pattern` (case does not matter)."""

    pattern: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says happened so far, the same for every protocol."""

    prompts: tuple[tuple[str, int], ...] = ()
    """Each text of the user, and how many answers of the model came before it."""
    answers: int = 0
    """How many answers the model has given."""
    tools: tuple[str, ...] = ()
    """Names of the tools that the client offers."""
    tool_results: tuple[str, ...] = ()
    model: str = ""
    is_streaming: bool = False

    @property
    def text(self) -> str:
        """All the user's words."""
        return "\n".join(text for text, _ in self.prompts)


@dataclass(slots=True)
class Script:
    """The scenarios of a test, and how often each step refused already."""

    scenarios: tuple[Scenario, ...]
    default: Step = Say("Done.")
    _refusals: dict[tuple[str, int], int] = field(default_factory=dict)

    def next_step(self, conversation: Conversation) -> Step:
        """Return what to do about a request: the step that is due in the scenario of the latest prompt."""
        for text, answers_before in reversed(conversation.prompts):
            for scenario in self.scenarios:
                if scenario.pattern.lower() in text.lower():
                    return self._step(scenario, conversation.answers - answers_before, conversation)
        return self.default

    def _step(self, scenario: Scenario, index: int, conversation: Conversation) -> Step:
        steps = [step for step in scenario.steps if not self._is_spent(scenario, step)]
        step = steps[index] if index < len(steps) else self.default
        if isinstance(step, Refuse) and step.times is not None:
            key = (scenario.pattern, scenario.steps.index(step))
            self._refusals[key] = self._refusals.get(key, 0) + 1
        if isinstance(step, Recall):
            said = [text for text, _ in conversation.prompts if "<result>" not in text]
            return Say(json.dumps(said, ensure_ascii=False))
        return step

    def _is_spent(self, scenario: Scenario, step: Step) -> bool:
        if not isinstance(step, Refuse) or step.times is None:
            return False
        return self._refusals.get((scenario.pattern, scenario.steps.index(step)), 0) >= step.times
