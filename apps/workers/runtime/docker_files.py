"""Files into a container that was not started yet, and out of one whatever became of it."""

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import docker
import requests

from apps.workers.runtime import base
from apps.workers.runtime.docker_convert import INPUT_DIRECTORY, WORKER, WORKSPACE_DIRECTORY
from worker_image.contract import ENVIRONMENT_INPUT

_IN_MEMORY_BYTES: Final = 8 * 1024**2
_CHUNK_BYTES: Final = 64 * 1024
_TAR_OVERHEAD: Final = 16 * 1024
#: Go's bits for what is not a plain file: directory, link, device, pipe, socket, and the like.
_GO_TYPE_BITS: Final = 0x8F280000
_OWNER: Final = tuple(map(int, WORKER.split(":")))


def require_files(inputs: Mapping[str, Path]) -> None:
    """Check that inputs can be copied.

    Raises:
        ContainerRefused: one of them is not a file, or has an impossible name.

    """
    for name, source in inputs.items():
        if name in {"", ".", ".."} or "/" in name or "\0" in name:
            raise base.ContainerRefused("an input has an impossible name", details={"inputs": name[:100]})
        if not source.is_file():
            raise base.ContainerRefused("an input is not a file", details={"inputs": name})


def put_inputs(client: docker.DockerClient, container_id: str, inputs: Mapping[str, Path]) -> None:
    """Copy files of ours into ``INPUT_DIR``, readable by everybody in the container."""
    if not inputs:
        return
    with _packed(inputs) as archive:
        client.api.put_archive(container_id, INPUT_DIRECTORY, archive)


def hand_over(
    client: docker.DockerClient, name: str, inputs: Mapping[str, Path], environment: Mapping[str, str]
) -> None:
    """Give a running container that waits for them its inputs and its environment.

    Who has taken its environment has left a directory with its name in the file's place, so a second delivery
    is refused and nothing of it stays.

    Raises:
        RuntimeUnavailable: it has not got them, or another container's; ask again.

    """
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{name}/archive"
    params = {"path": INPUT_DIRECTORY, "noOverwriteDirNonDir": "true"}
    with _packed(inputs, _words_for(name, environment)) as archive:
        answer = api.request("PUT", url, params=params, data=archive, timeout=api.timeout)
    if not answer.ok and not _has_taken(client, name):
        raise base.RuntimeUnavailable(f"The Docker daemon failed with {answer.status_code}.")


def _words_for(name: str, environment: Mapping[str, str]) -> bytes:
    return json.dumps({"name": name, "environment": dict(environment)}).encode()


def _has_taken(client: docker.DockerClient, name: str) -> bool:
    path = f"{INPUT_DIRECTORY}/{ENVIRONMENT_INPUT}/{name}"
    try:
        with _ask(client, "HEAD", name, path, ENVIRONMENT_INPUT):
            return True
    except base.ContainerFileNotFound:
        return False


@contextmanager
def _packed(inputs: Mapping[str, Path], environment: bytes | None = None) -> Iterator[IO[bytes]]:
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, source in inputs.items():
                entry = tarfile.TarInfo(name)
                with source.open("rb") as content:
                    entry.size, entry.mode = source.stat().st_size, 0o444
                    tar.addfile(entry, content)
            if environment is not None:
                # Last: whoever finds it finds everything.
                entry = tarfile.TarInfo(ENVIRONMENT_INPUT)
                entry.size, entry.mode, (entry.uid, entry.gid) = len(environment), 0o600, _OWNER
                tar.addfile(entry, io.BytesIO(environment))
        archive.seek(0)
        yield archive


def log_tail(client: docker.DockerClient, container_id: str, limit_bytes: int) -> bytes:
    """Return the end of what a container wrote to stdout and stderr."""
    # Whole, as its rotation bounds it: the SDK takes the deadline off a stream.
    written = bytes(client.api.logs(container_id, stream=False, follow=False))
    return written[max(0, len(written) - limit_bytes) :]


def fetch(client: docker.DockerClient, container_id: str, path: str, *, limit_bytes: int) -> bytes:
    """Return a plain file of the working directory.

    Raises:
        ContainerFileNotFound: there is no such file.
        ContainerFileRefused: it is too large, a link or behind one, or not a plain file.

    """
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts or "\0" in path:
        raise base.ContainerFileRefused("path must be relative and plain", details={"path": path[:200]})
    at = PurePosixPath(WORKSPACE_DIRECTORY)
    for part in parts[:-1]:
        at /= part
        with _ask(client, "HEAD", container_id, str(at), path) as answer:
            if _stat(answer).get("linkTarget"):
                raise base.ContainerFileRefused("behind a link", details={"path": path})
    with _ask(client, "GET", container_id, str(at / parts[-1]), path) as answer:
        stat = _stat(answer)
        if stat["mode"] & _GO_TYPE_BITS:
            raise base.ContainerFileRefused("not a plain file", details={"path": path})
        if stat["size"] > limit_bytes:
            raise base.ContainerFileRefused(f"larger than {limit_bytes} bytes", details={"path": path})
        return _only_file(answer.iter_content(_CHUNK_BYTES), path, limit_bytes)


@contextmanager
def _ask(
    client: docker.DockerClient, method: str, container_id: str, at: str, path: str
) -> Iterator[requests.Response]:
    """Ask for one path; the SDK's own function reads it whole and leaves the connection open otherwise."""
    api = client.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container_id}/archive"
    with api.request(method, url, params={"path": at}, stream=True, timeout=api.timeout) as answer:
        if answer.status_code == requests.codes.not_found:
            raise base.ContainerFileNotFound(details={"path": path})
        if not answer.ok:
            raise base.RuntimeUnavailable(f"The Docker daemon failed with {answer.status_code}.")
        yield answer


def _stat(answer: requests.Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    return found


def _only_file(stream: Iterable[bytes], path: str, limit_bytes: int) -> bytes:
    """Unpack one file of at most so many bytes; it may have grown since it was looked at."""
    packed = bytearray()
    for chunk in stream:
        packed += chunk
        if len(packed) > limit_bytes + _TAR_OVERHEAD:
            raise base.ContainerFileRefused(f"larger than {limit_bytes} bytes", details={"path": path})
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        entry = tar.next()
        content = tar.extractfile(entry) if entry is not None and entry.isreg() else None
        if content is None or entry is None or entry.size > limit_bytes:
            raise base.ContainerFileRefused("not a plain file", details={"path": path})
        return content.read()
