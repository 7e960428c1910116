"""A store of images in memory that behaves as the port says, and can be told to fail."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from apps.workers.runtime.base import RuntimeUnavailable
from apps.workers.runtime.images import BuildRequest, ImageBuildFailed, ImageInUse, ImageState

LABEL = "codegen.installation"


class FakeImages:
    """Images by tag; counts what it was asked to build.

    Attributes:
        is_down: every verb raises ``RuntimeUnavailable``.
        failing: tag → the command that fails in it.
        used: tags that a container was made from.

    """

    def __init__(self, installation: str = "test") -> None:
        self.installation = installation
        self.states: dict[str, ImageState] = {}
        self.built: list[str] = []
        self.is_down = False
        self.failing: dict[str, str] = {}
        self.used: set[str] = set()

    def put(self, tag: str, *, age: timedelta = timedelta(), labels: Mapping[str, str] | None = None) -> None:
        """Have an image, ours unless its labels say otherwise."""
        self.states[tag] = ImageState(
            id=f"sha256:{tag}",
            tags=(tag,),
            size_bytes=1_000,
            labels={LABEL: self.installation} if labels is None else labels,
            created_at=datetime.now(UTC) - age,
        )

    def find(self, tag: str) -> ImageState | None:
        self._ask()
        return self.states.get(tag)

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> ImageState:
        self._ask()
        self.built.append(request.tag)
        on_line(f"Step 1/1 : FROM {request.tag}")
        if command := self.failing.get(request.tag):
            raise ImageBuildFailed("The image could not be built", details={"failed_command": command})
        self.put(request.tag)
        return self.states[request.tag]

    def list_owned(self) -> list[ImageState]:
        self._ask()
        return [state for state in self.states.values() if state.labels.get(LABEL) == self.installation]

    def remove(self, tag: str) -> None:
        self._ask()
        if tag in self.used:
            raise ImageInUse(details={"tag": tag})
        self.states.pop(tag, None)

    def _ask(self) -> None:
        if self.is_down:
            raise RuntimeUnavailable("down")
