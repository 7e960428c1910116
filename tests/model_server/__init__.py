"""A scripted model behind the real HTTP protocols, for tests of the real coding agents."""

from tests.model_server.script import (
    Call,
    Endless,
    Recall,
    Refuse,
    Run,
    Say,
    Scenario,
    Stall,
    Truncate,
)
from tests.model_server.server import KEY, Asked, ModelServer, model_server

__all__ = [
    "KEY",
    "Asked",
    "Call",
    "Endless",
    "ModelServer",
    "Recall",
    "Refuse",
    "Run",
    "Say",
    "Scenario",
    "Stall",
    "Truncate",
    "model_server",
]
