"""Running one command inside a worker's container, by hand or from a test."""

import shlex
from collections.abc import Sequence

from apps.workers.composition import get_runtime
from apps.workers.runtime.base import USER, ContainerRuntime


def exec_in_container(
    container_id: str,
    command: str | Sequence[str],
    user: str = USER,
    *,
    runtime: ContainerRuntime | None = None,
) -> tuple[int, str]:
    """Run a short command inside a running container and return its exit code and output.

    Args:
        container_id: the container's name.
        command: program and arguments, or one line of them; no shell reads it.
        user: who runs it.
        runtime: where; by default this installation's.

    Raises:
        ContainerNotFound, ContainerNotRunning, RuntimeUnavailable: it did not run, or nobody knows.
    """
    words = shlex.split(command) if isinstance(command, str) else list(command)
    done = (runtime or get_runtime()).exec(container_id, words, user=user)
    return done.exit_code, done.output
