"""The coding agents as the control plane knows them: one file each, and the table of all."""

from apps.workers.agents.agent import CodingAgent
from apps.workers.agents.claude_code import ClaudeCodeAgent
from apps.workers.agents.codex import CodexAgent
from apps.workers.agents.factory_droid import FactoryDroidAgent
from apps.workers.agents.rehearsal import RehearsalAgent
from apps.workers.agents.table import AGENTS, AgentRow

__all__ = [
    "AGENTS",
    "AgentRow",
    "ClaudeCodeAgent",
    "CodexAgent",
    "CodingAgent",
    "FactoryDroidAgent",
    "RehearsalAgent",
]
