"""What a worker is told by its environment, read once and typed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from worker_image import contract
from worker_image.contract import AgentType, WorkerType

Choice = TypeVar("Choice", bound=StrEnum)


class EnvironmentInvalid(Exception):
    """A variable is missing or malformed; the message names it and never shows its value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The settings of one worker."""

    worker_id: str
    worker_type: WorkerType
    agent_type: AgentType
    redis_url: str = field(repr=False)
    api_url: str
    worker_token: str = field(repr=False)
    allowed_commands: tuple[str, ...]
    session_id: str | None
    model: str | None
    """Which of its provider's models the agent uses; none means its own default."""
    workspace_dir: Path
    home: Path
    agent_variables: frozenset[str]
    """Names of the operator's variables that the agent gets besides its allow-list."""

    @property
    def state_dir(self) -> Path:
        """Where the wrapper keeps what it must remember across its own restarts."""
        return self.home / ".worker-wrapper"


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Read the settings.

    Raises:
        EnvironmentInvalid: a required variable is missing, or one is malformed.

    """
    agent_type = _choice(variables, contract.ENV_AGENT_TYPE, AgentType)
    return Environment(
        worker_id=_required(variables, contract.ENV_WORKER_ID),
        worker_type=_choice(variables, contract.ENV_WORKER_TYPE, WorkerType),
        agent_type=agent_type,
        redis_url=_url(variables, contract.ENV_REDIS_URL, ("redis://", "rediss://", "unix://")),
        api_url=_url(variables, contract.ENV_API_URL, ("http://", "https://")).rstrip("/"),
        worker_token=_required(variables, contract.ENV_WORKER_TOKEN),
        allowed_commands=_names(variables, contract.ENV_ALLOWED_COMMANDS),
        session_id=variables.get(contract.ENV_SESSION_ID) or None,
        model=variables.get(contract.ENV_MODELS.get(agent_type, "")) or None,
        workspace_dir=Path(variables.get(contract.ENV_WORKSPACE_DIR) or "/workspace"),
        home=Path(_required(variables, contract.ENV_HOME)),
        agent_variables=frozenset(_names(variables, contract.ENV_AGENT_VARIABLES)),
    )


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "").strip()
    if not value:
        raise EnvironmentInvalid(f"{name} is not set")
    return value


def _choice(variables: Mapping[str, str], name: str, kind: type[Choice]) -> Choice:
    value = _required(variables, name)
    try:
        return kind(value)
    except ValueError as error:
        raise EnvironmentInvalid(f"{name} must be one of {', '.join(kind)}") from error


def _url(variables: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    value = _required(variables, name)
    if not value.startswith(schemes):
        raise EnvironmentInvalid(f"{name} must begin with {' or '.join(schemes)}")
    return value


def _names(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    try:
        value = json.loads(variables.get(name) or "[]")
    except ValueError as error:
        raise EnvironmentInvalid(f"{name} must be a JSON list of strings") from error
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise EnvironmentInvalid(f"{name} must be a JSON list of strings")
    return tuple(value)
