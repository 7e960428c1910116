"""Waiting for a task to end, and saying how it ended."""

import time
from typing import Any

from worker_image.cli.api import Api, ApiError
from worker_image.cli.output import ExitCode, Output

FINAL = frozenset({"completed", "failed", "cancelled"})
_POLL_SECONDS = 0.5


def wait_for(api: Api, task_id: str, *, timeout_seconds: float) -> dict[str, Any]:
    """Return the task once it is final.

    Raises:
        ApiError: ``timeout`` when it is not final in time; the task goes on.
    """
    until = time.monotonic() + timeout_seconds
    while True:
        task: dict[str, Any] = api.get(f"/api/tasks/{task_id}/")
        if task["status"] in FINAL:
            return task
        if time.monotonic() > until:
            raise ApiError(
                "timeout", f"Task {task_id} is still {task['status']}; it goes on. Wait again or `watch` it."
            )
        time.sleep(_POLL_SECONDS)


def report(output: Output, task: dict[str, Any], *, url: str = "") -> None:
    """Print how a final task ended; anything but ``completed`` is an error."""
    if task["status"] == "completed":
        output.success(task, message=f"Completed: {url}" if url else "Completed.")
        return
    failure = task.get("failure") or {}
    output.fail(
        ApiError(
            failure.get("code") or task["status"],
            failure.get("message") or f"The task was {task['status']}.",
            {key: failure[key] for key in ("stage", "kind", "retryable") if key in failure},
        ),
        data=task,
        # Whatever the failure is called: this call itself was carried out.
        code=ExitCode.FAILED,
    )
