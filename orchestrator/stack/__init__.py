"""The embedded stack: servers, migrations and every process of the system, supervised in the foreground.

``python -m orchestrator.stack up|down|status``; as a library, ``Stack`` for the demo and the journeys.
No Django is imported here: this process only starts and watches others.
"""

from orchestrator.stack.prepare import CommandFailed
from orchestrator.stack.stack import Stack
from orchestrator.stack.state import StackFailed
from orchestrator.stack.table import ChildSpec, Ports

__all__ = ["ChildSpec", "CommandFailed", "Ports", "Stack", "StackFailed"]
