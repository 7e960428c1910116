"""Short commands inside a running container."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound
from docker.utils.socket import frames_iter

from apps.workers.runtime import base
from apps.workers.runtime.docker_client import code_of
from apps.workers.runtime.docker_convert import WORKER, WORKSPACE_DIRECTORY

_CONFLICT: Final = 409
_frames: Callable[..., Iterator[tuple[int, bytes]]] = frames_iter
_KILL_SECONDS: Final = 1
_KILLED: Final = 137
#: After which nobody listens any more: who runs in the container can hold the command's own deadline.
_LATE_SECONDS: Final = 5.0
#: Whoever runs in the container can read the environment of what is executed there under his uid.
_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"://[^/\s@]*:[^/\s@]*@")


def execute(
    client: docker.DockerClient,
    container: Mapping[str, Any],
    command: Sequence[str],
    *,
    user: str,
    timeout_seconds: float,
) -> base.ExecResult:
    """Run a command in a container that was just inspected.

    Raises:
        ContainerNotRunning, ContainerNotFound: it is not, or no longer, running.

    """
    bounded = ["timeout", f"--kill-after={_KILL_SECONDS}", f"{timeout_seconds:g}", *command]
    try:
        created = client.api.exec_create(
            container["Id"],
            bounded,
            user=WORKER if user == base.USER else user,
            workdir=WORKSPACE_DIRECTORY,
            environment=without_secrets(container["Config"].get("Env") or []),
        )
        seconds = timeout_seconds + _KILL_SECONDS + _LATE_SECONDS
        tail, is_flood = _run(client, created["Id"], seconds=seconds)
        if is_flood:
            # Nobody reads what it writes: it stands still, and its own deadline kills it.
            return base.ExecResult(exit_code=_KILLED, output=tail.decode(errors="replace"), is_flood=True)
        exit_code = client.api.exec_inspect(created["Id"])["ExitCode"]
    except NotFound as error:
        raise base.ContainerNotFound(details={"name": container["Name"]}) from error
    except APIError as error:
        if code_of(error) == _CONFLICT:
            raise base.ContainerNotRunning(details={"name": container["Name"]}) from error
        raise
    if exit_code is None:
        raise base.RuntimeUnavailable("The command's end was not observed.")
    return base.ExecResult(exit_code=exit_code, output=tail.decode(errors="replace"))


def _run(client: docker.DockerClient, exec_id: str, *, seconds: float) -> tuple[bytes, bool]:
    """Return the end of what it writes, and whether that was too much to listen to the end.

    The SDK's own stream leaves its socket open and waits for ever.
    """
    tail, written = bytearray(), 0
    stream: Any = client.api.exec_start(exec_id, socket=True)
    cut = threading.Timer(seconds, _shut, [getattr(stream, "_sock", stream)])
    cut.daemon = True
    cut.start()
    try:
        for _, chunk in _frames(stream, tty=False):
            tail += chunk
            written += len(chunk)
            del tail[: -base.EXEC_OUTPUT_BYTES]
            if written > base.EXEC_FLOOD_BYTES:
                break
    finally:
        cut.cancel()
        stream._response.close()
    return bytes(tail), written > base.EXEC_FLOOD_BYTES


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def without_secrets(variables: Sequence[str]) -> list[str]:
    """Return which variables of a container are to be unset: a name without a value unsets it."""
    pairs = [variable.partition("=") for variable in variables]
    return [name for name, _, value in pairs if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value)]
