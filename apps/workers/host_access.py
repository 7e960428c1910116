"""What of this machine a worker may be given, if its operator said so: the Docker socket, a login session."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from apps.errors import Invalid
from apps.workers.image_recipe import normalize
from worker_image.contract import WorkerCapability


class DockerSocketRefused(Invalid):
    """The Docker socket is the whole machine; WORKERS_ALLOW_DOCKER_SOCKET hands it to workers anyway."""

    code = "docker_socket_refused"


class HostSessionRefused(Invalid):
    """The session directory is none of those that WORKERS_HOST_SESSION_DIRS allows."""

    code = "host_session_refused"


def permitted(capabilities: Iterable[str], *, allow_docker_socket: bool) -> tuple[str, ...]:
    """Return capabilities in their canonical form.

    Raises:
        UnknownCapability: one of them is none.
        DockerSocketRefused: ``docker`` is among them and the operator has not allowed it.
    """
    names = normalize(capabilities)
    if WorkerCapability.DOCKER in names and not allow_docker_socket:
        raise DockerSocketRefused(details={"capabilities": str(WorkerCapability.DOCKER)})
    return tuple(str(name) for name in names)


def session_directory(wanted: str, allowed: Sequence[str]) -> str:
    """Return a directory that may be mounted, free of links: what was checked is what is mounted.

    Raises:
        HostSessionRefused: it is not there, or neither in nor one of the allowed directories.
    """
    refused = HostSessionRefused(details={"host_claude_dir": wanted[:200]})
    path = Path(wanted)
    if not path.is_absolute() or "\0" in wanted:
        raise refused
    try:
        real = path.resolve(strict=True)
        roots = [Path(root).resolve(strict=True) for root in allowed if Path(root).is_dir()]
    except (OSError, RuntimeError) as error:
        raise refused from error
    if not real.is_dir() or not any(real.is_relative_to(root) for root in roots):
        raise refused
    return str(real)
