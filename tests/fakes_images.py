"""Images and their builds in memory: they behave as the ports say, and can be told to fail."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from apps.units.spec import UnitsUnavailable
from apps.workers.image_builder import Packed
from apps.workers.image_unit import BuildPhase, BuildResult
from apps.workers.models import WorkerImage
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

    def put_nameless(self, name: str, *, age: timedelta = timedelta()) -> str:
        """Have an image of ours that lost its tag; returns its id."""
        self.put(f"sha256:{name}", age=age)
        self.states[f"sha256:{name}"] = replace(self.states[f"sha256:{name}"], id=f"sha256:{name}", tags=())
        return f"sha256:{name}"

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


class FakeBuilds:
    """Builds that go on until the test lets them end; each builds in a ``FakeImages``.

    Attributes:
        started: tags in the order in which their builds began.
        phases: tag → where its build is.
        results: tag → what the next build of it says; a success if nothing is said.
        is_refusing: ``start`` raises ``UnitsUnavailable``.

    """

    def __init__(self, store: FakeImages) -> None:
        self.store = store
        self.started: list[str] = []
        self.phases: dict[str, BuildPhase] = {}
        self.results: dict[str, BuildResult] = {}
        self.is_refusing = False

    def start(self, row: WorkerImage, packed: Packed, *, seconds: float) -> None:
        if self.is_refusing:
            raise UnitsUnavailable("no more processes")
        if row.tag not in self.phases:
            self.started.append(packed.recipe.tag)
            self.phases[row.tag] = BuildPhase.RUNNING

    def look(self, row: WorkerImage) -> BuildPhase | None:
        return self.phases.get(row.tag)

    def result(self, row: WorkerImage) -> BuildResult:
        return self.results.get(row.tag, BuildResult(code=""))

    def log(self, row: WorkerImage, *, tail_bytes: int) -> str:
        return f"building {row.tag}\nnpm error https://me:secret@mirror/x\n"[-tail_bytes:]

    def remove(self, row: WorkerImage) -> None:
        self.phases.pop(row.tag, None)

    def finish(self, tag: str) -> None:
        """Let a build end; its image is there if it is to succeed."""
        assert self.phases[tag] is BuildPhase.RUNNING
        self.phases[tag] = BuildPhase.ENDED
        if tag not in self.results:
            self.store.put(tag)

    def lose(self, tag: str) -> None:
        """Let a build vanish without a word."""
        self.phases[tag] = BuildPhase.LOST
