"""What an agent is really told: its standing orders, then the words of the turn."""

from apps.workers.models import Worker


def full_prompt(worker: Worker, prompt: str) -> str:
    """Return a turn's prompt with the worker's standing orders before it.

    They stand in every prompt: an agent that begins each turn anew remembers none.
    """
    instructions = str(worker.config.get("instructions") or "")
    return f"{instructions}\n\n{prompt}" if instructions else prompt
