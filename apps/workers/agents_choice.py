"""Which agent a worker runs when the request does not say."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from apps.units.accounts import UID_RANGE
from apps.units.environment import base_environment
from apps.units.reach import is_executable
from apps.units.toolchain import Toolchain
from apps.workers import engine
from apps.workers.agents import AGENTS
from apps.workers.models import AgentConfig
from apps.workers.runtime.choice import DOCKER
from worker_image.contract import AgentType, AuthMode


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentChoice:
    """An agent with what its configuration adds."""

    agent_type: str
    auth_mode: str
    model: str = ""
    system_prompt: str = ""
    memory_mb: int | None = None
    cpus: float | None = None


def choose_agent(requested: str | None) -> AgentChoice:
    """Choose: what was asked for → the operator's setting or configuration → a usable key → the rehearsal.

    Args:
        requested: an agent type, or None for "whatever is best here".

    """
    agent_type = requested or (
        settings.WORKERS_DEFAULT_AGENT if settings.WORKERS_DEFAULT_AGENT != "auto" else None
    )
    configs = AgentConfig.objects.filter(is_active=True).order_by("id")
    if agent_type is not None:
        configs = configs.filter(agent_type=agent_type)
    config = configs.first()
    if config is not None:
        return AgentChoice(
            agent_type=config.agent_type,
            auth_mode=_auth_mode(config.agent_type),
            model=config.model,
            system_prompt=config.system_prompt,
            memory_mb=config.memory_mb,
            cpus=config.cpus,
        )
    agent_type = agent_type or _first_usable()
    return AgentChoice(agent_type=agent_type, auth_mode=_auth_mode(agent_type))


def _first_usable() -> str:
    for agent_type, row in AGENTS.items():
        if row.key and row.program and _has_key(row.key) and _is_available(row.program):
            return str(agent_type)
    return str(AgentType.REHEARSAL)


def _has_key(name: str) -> bool:
    """Tell whether workers will have a provider's key; only the process that starts them needs to know it."""
    return bool(getattr(settings, name)) or name in settings.SECRETS_ELSEWHERE


def _is_available(command: str) -> bool:
    """Tell whether a worker will find this command: an image brings it, a process finds it here or not."""
    return engine.runtime_name() == DOCKER or _is_installed(command)


def _is_installed(command: str) -> bool:
    """Tell whether a worker finds this command and may run it; our own PATH and rights do not count."""
    tools = Toolchain(
        directory=settings.TOOLS_DIR,
        python=Path(sys.executable),
        sources=settings.TOOLS_DIR,
        extra=tuple(settings.WORKERS_TOOLS_DIRS),
    )
    path = base_environment(tools, outer={})["PATH"]
    # Any uid that units get stands for all of them.
    uid = UID_RANGE.start if os.geteuid() == 0 else os.getuid()
    return any(is_executable(Path(directory) / command, uid) for directory in path.split(os.pathsep))


def _auth_mode(agent_type: str) -> str:
    modes = AGENTS[AgentType(agent_type)].auth_modes
    return str(AuthMode.API_KEY if AuthMode.API_KEY in modes else AuthMode.NONE)
