"""Factory Droid, headless."""

from collections.abc import Mapping

from worker_image.runners.base import (
    AgentAnswer,
    ProgressUpdate,
    positional,
    read_progress,
    read_result_envelope,
)


class FactoryRunner:
    """Runs `droid exec`; every turn is a conversation of its own."""

    environment = frozenset({"FACTORY_API_KEY", "FACTORY_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL"})

    def __init__(self, model: str | None = None) -> None:
        self._model = model

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn; the container is the sandbox."""
        model = ["-m", self._model] if self._model else []
        return ["droid", "exec", "--skip-permissions-unsafe", "-o", "json", *model, positional(prompt)]

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take the answer out of the JSON envelope."""
        return read_result_envelope(stdout)

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read a JSON line of type `progress`."""
        return read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return nothing."""
        return {}
