"""The images of a Docker daemon."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from docker.errors import APIError, NotFound

from apps.errors import OrchestratorError
from apps.workers.runtime.base import RuntimeFull
from apps.workers.runtime.docker_client import DockerConnection, asking, code_of, is_full
from apps.workers.runtime.images import (
    BaseImageMissing,
    BuildRequest,
    ImageBuildFailed,
    ImageInUse,
    ImageState,
)

INSTALLATION_LABEL: Final = "codegen.installation"
_STEP: Final = re.compile(r"Step \d+/\d+ : (?P<instruction>.+)", re.DOTALL)
#: How a daemon says that it has no such image and cannot get one.
_NOT_TO_BE_HAD: Final = re.compile(
    r"pull access denied|manifest (for .* not found|unknown)|repository does not exist"
    r"|(error response from daemon|get \"?https?://\S+\"?:).*(lookup|dial|timeout|refused|x509|EOF)",
    re.IGNORECASE | re.DOTALL,
)
_CONFLICT: Final = 409


class DockerImages:
    """The ``ImageStore`` over a Docker daemon.

    Args:
        installation: whose images these are; others may be used, and are never listed nor removed.
        connection: the way to the daemon.

    """

    def __init__(self, *, installation: str, connection: DockerConnection | None = None) -> None:
        self._installation = installation
        self._connection = connection or DockerConnection()

    def find(self, tag: str) -> ImageState | None:
        """Observe an image; None means that there is none of that tag."""
        with asking():
            try:
                api: Any = self._connection.client().api
                return _state(api.inspect_image(tag))
            except NotFound:
                return None

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> ImageState:
        """Build an image and wait for it, telling every line of output."""
        step = ""
        with asking():
            for event in self._events(request):
                if (text := str(event.get("stream", ""))).strip():
                    found = _STEP.match(text.strip())
                    step = found["instruction"] if found else step
                    on_line(text.rstrip())
                if error := event.get("error"):
                    on_line(str(error).rstrip())
                    raise _failure(str(error), step)
        state = self.find(request.tag)
        if state is None:
            raise ImageBuildFailed("The daemon built the image and does not have it.")
        return state

    def list_owned(self) -> list[ImageState]:
        """Observe every image of this installation."""
        words = {"label": f"{INSTALLATION_LABEL}={self._installation}"}
        with asking():
            api: Any = self._connection.client().api
            found = []
            for summary in api.images(filters=words):
                try:
                    found.append(_state(api.inspect_image(summary["Id"])))
                except NotFound:
                    continue  # somebody removed it since
            return found

    def remove(self, tag: str) -> None:
        """Remove a tag, and the image if that was its last; absent is success."""
        with asking():
            try:
                self._connection.client().api.remove_image(tag, force=False, noprune=False)
            except NotFound:
                return
            except APIError as error:
                if code_of(error) != _CONFLICT:
                    raise
                raise ImageInUse(details={"tag": tag}) from error

    def _events(self, request: BuildRequest) -> Iterator[Mapping[str, Any]]:
        # A build may be silent for long; that nobody is there is to be noticed before.
        self._connection.client().ping()
        api = self._connection.fresh(request.silence_seconds).api
        yield from api.build(
            # The SDK waits for ever otherwise, whatever the client's own deadline.
            timeout=int(request.silence_seconds),
            fileobj=io.BytesIO(request.archive),
            custom_context=True,
            dockerfile=request.dockerfile,
            tag=request.tag,
            target=request.target or "",
            buildargs=dict(request.arguments),
            labels={INSTALLATION_LABEL: self._installation, **request.labels},
            nocache=request.no_cache,
            rm=True,
            forcerm=True,
            decode=True,
        )


def _failure(error: str, step: str) -> OrchestratorError:
    if is_full(error):
        return RuntimeFull(f"The Docker daemon's disk is full: {error[:300]}")
    details = {"failed_command": step or "FROM", "error": error[:1_000]}
    if (not step or step.startswith("FROM")) and (not step or _NOT_TO_BE_HAD.search(error)):
        return BaseImageMissing(f"The image to build on cannot be had: {error[:300]}", details=details)
    return ImageBuildFailed(f"The image could not be built: {error[:300]}", details=details)


def _state(attributes: Mapping[str, Any]) -> ImageState:
    return ImageState(
        id=attributes["Id"],
        tags=tuple(attributes.get("RepoTags") or ()),
        size_bytes=int(attributes["Size"]),
        labels=(attributes.get("Config") or {}).get("Labels") or {},
        created_at=_moment(attributes["Created"]),
    )


def _moment(text: str) -> datetime:
    """Read the daemon's time, which has nanoseconds."""
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", lambda found: f".{found[1]:0<6}", text))
