"""The rehearsal agent: our own deterministic offline coder, and Product Owner."""

import sys
from collections.abc import Mapping
from pathlib import Path

import worker_image
from worker_image.runners.base import AgentAnswer, ProgressUpdate, read_progress


class RehearsalRunner:
    """Runs `worker_image.rehearsal` in this interpreter's environment, with its prompt in a file."""

    environment: frozenset[str] = frozenset()

    def __init__(self, prompt_file: Path, *, is_product_owner: bool = False) -> None:
        self._prompt_file = prompt_file
        self._options = ["--product-owner"] if is_product_owner else []

    def build_command(self, prompt: str) -> list[str]:
        """Return the command line of one turn; the caller has put the prompt into the file."""
        del prompt
        program = [sys.executable, "-m", "worker_image.rehearsal"]
        return [*program, "--prompt-file", str(self._prompt_file), *self._options]

    def unwrap(self, stdout: str) -> AgentAnswer:
        """Take everything but the progress lines as the answer."""
        lines = (line for line in stdout.splitlines() if read_progress(line) is None)
        return AgentAnswer(text="\n".join(lines))

    def parse_progress(self, line: str) -> ProgressUpdate | None:
        """Read a JSON line of type `progress`."""
        return read_progress(line)

    def extra_environment(self) -> Mapping[str, str]:
        """Return where this package is, unless it is installed and found anyway."""
        root = Path(worker_image.__file__).resolve().parents[1]
        return {} if root.name == "site-packages" else {"PYTHONPATH": str(root)}
