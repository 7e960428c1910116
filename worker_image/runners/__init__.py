"""The coding agents, one runner each, and the table that finds the right one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker_image.contract import AgentType
from worker_image.runners.base import AgentRunner
from worker_image.runners.claude import ClaudeRunner, has_session
from worker_image.runners.codex import CodexRunner
from worker_image.runners.factory import FactoryRunner
from worker_image.runners.rehearsal import RehearsalRunner


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerSpec:
    """What a runner of one turn may need."""

    prompt_file: Path
    home: Path
    session_id: str | None = None
    """The conversation to go on with, or to begin; none means every turn stands alone."""
    model: str | None = None
    """For agents that take it on their command line; Claude reads it from its environment."""


def _claude(spec: RunnerSpec) -> AgentRunner:
    if spec.session_id is None:
        return ClaudeRunner(is_streaming=True)
    if has_session(spec.home, spec.session_id):
        return ClaudeRunner(spec.session_id, is_streaming=True)
    return ClaudeRunner(new_session_id=spec.session_id, is_streaming=True)


RUNNERS: Mapping[AgentType, Callable[[RunnerSpec], AgentRunner]] = {
    AgentType.CLAUDE: _claude,
    AgentType.FACTORY: lambda spec: FactoryRunner(spec.model),
    AgentType.CODEX: lambda spec: CodexRunner(spec.model),
    AgentType.REHEARSAL: lambda spec: RehearsalRunner(spec.prompt_file),
}
