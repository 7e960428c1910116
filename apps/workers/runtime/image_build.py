"""Builds the images of one recipe: the program of a detached unit, and the same in the foreground.

It runs apart from every Celery process, so a build outlives whoever asked for
it. One lock per tag on this machine: of several that build at once all but one
find the image built.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.workers.runtime.docker_images import DockerImages
from apps.workers.runtime.images import BuildRequest, ImageState, ImageStore

SPEC: Final = "build.json"
RESULT: Final = "result.json"
MAX_RESULT_BYTES: Final = 64 * 1024


def build_missing(
    store: ImageStore,
    requests: Sequence[BuildRequest],
    *,
    locks: Path,
    on_line: Callable[[str], None],
) -> ImageState:
    """Build those images that are not there, in this order, and return the last one.

    Args:
        store: where they are to be.
        requests: at least one.
        locks: directory of the locks; made if missing.
        on_line: is told every line of output.

    Raises:
        ImageBuildFailed: one cannot be built; the following were not tried.
        RuntimeUnavailable: nothing is known; ask again.

    """
    state: ImageState | None = None
    is_stale = False
    for request in requests:
        with _alone(locks, request.tag):
            is_stale = is_stale or request.no_cache
            state = None if is_stale else store.find(request.tag)
            if state is not None:
                on_line(f"{request.tag} is here")
                continue
            began = time.monotonic()
            state = store.build(request, on_line)
            on_line(f"built {request.tag} in {time.monotonic() - began:.1f} s")
    if state is None:
        raise ValueError("there is nothing to build")
    return state


def write_spec(
    requests: Sequence[BuildRequest], *, installation: str, locks: Path
) -> tuple[bytes, dict[str, bytes]]:
    """Return the unit's instructions and its other input files."""
    archives = {f"context-{number}.tar": request.archive for number, request in enumerate(requests)}
    steps = [{**asdict(request), "archive": name} for name, request in zip(archives, requests, strict=True)]
    spec = {"installation": installation, "locks": str(locks), "steps": steps}
    return json.dumps(spec).encode(), archives


def main() -> int:
    """Follow the instructions in ``INPUT_DIR`` and leave the result in the working directory."""
    directory = Path(os.environ["INPUT_DIR"])
    spec: Mapping[str, Any] = json.loads((directory / SPEC).read_bytes())
    requests = [
        BuildRequest(**{**step, "archive": (directory / step["archive"]).read_bytes()})
        for step in spec["steps"]
    ]
    store = DockerImages(installation=spec["installation"])
    try:
        state = build_missing(store, requests, locks=Path(spec["locks"]), on_line=_say)
    except OrchestratorError as error:
        _write({"code": error.error_code, "message": error.message, "details": error.details})
        return 1
    _write({"code": "", "image_id": state.id, "size_bytes": state.size_bytes})
    return 0


@contextlib.contextmanager
def _alone(locks: Path, tag: str) -> Iterator[None]:
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = tag.replace("/", "_").replace(":", "-")
    with (locks / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, flush=True)


def _write(result: Mapping[str, Any]) -> None:
    temporary = Path(f"{RESULT}.new")
    temporary.write_text(json.dumps(result)[:MAX_RESULT_BYTES])
    temporary.rename(RESULT)


if __name__ == "__main__":
    sys.exit(main())
