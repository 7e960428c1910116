"""The coding agents, one runner each, and the table that finds the right one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker_image.contract import ENV_WORKER_TYPE, AgentType, WorkerType
from worker_image.runners import codex, factory
from worker_image.runners.base import AgentRunner
from worker_image.runners.claude import ClaudeRunner, has_session
from worker_image.runners.codex import OPENAI_URL, CodexRunner
from worker_image.runners.factory import FactoryRunner, gateway_settings
from worker_image.runners.rehearsal import RehearsalRunner


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerSpec:
    """What a runner of one turn may need."""

    prompt_file: Path
    home: Path
    session_id: str | None = None
    """The conversation to go on with, or to begin; none means every turn stands alone.

    Codex and Droid choose the id themselves: there it says that turns belong together, and the latest
    conversation in the home is the one.
    """
    model: str | None = None
    """For agents that take it on their command line; Claude reads it from its environment."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The worker's own environment, for agents that take their provider's address otherwise."""


def _claude(spec: RunnerSpec) -> AgentRunner:
    if spec.session_id is None:
        return ClaudeRunner(is_streaming=True)
    if has_session(spec.home, spec.session_id):
        return ClaudeRunner(spec.session_id, is_streaming=True)
    return ClaudeRunner(new_session_id=spec.session_id, is_streaming=True)


def _factory(spec: RunnerSpec) -> AgentRunner:
    session_id = factory.latest_session(spec.home) if spec.session_id else None
    url = spec.variables.get("FACTORY_BASE_URL")
    if not url:
        return FactoryRunner(spec.model, session_id=session_id, is_streaming=True)
    settings = spec.prompt_file.with_name("factory-settings.json")
    settings.write_text(gateway_settings(url, spec.model))
    return FactoryRunner(spec.model, session_id=session_id, settings=settings, is_streaming=True)


def _codex(spec: RunnerSpec) -> AgentRunner:
    has_key = bool(spec.variables.get("OPENAI_API_KEY"))
    url = spec.variables.get("OPENAI_BASE_URL") or OPENAI_URL
    session_id = codex.latest_session(spec.home) if spec.session_id else None
    return CodexRunner(spec.model, session_id=session_id, provider_url=url if has_key else None)


def _rehearsal(spec: RunnerSpec) -> AgentRunner:
    is_product_owner = spec.variables.get(ENV_WORKER_TYPE) == WorkerType.PO
    return RehearsalRunner(spec.prompt_file, is_product_owner=is_product_owner)


RUNNERS: Mapping[AgentType, Callable[[RunnerSpec], AgentRunner]] = {
    AgentType.CLAUDE: _claude,
    AgentType.FACTORY: _factory,
    AgentType.CODEX: _codex,
    AgentType.REHEARSAL: _rehearsal,
}
