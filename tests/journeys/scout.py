"""Finds workers that begin to edit, by their files, also while no daemon answers."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.journeys import prey as preys
from tests.journeys.prey import Prey

_EVERY_SECONDS: Final = 0.05


class Scout:
    """A thread that looks through a daemon's volumes."""

    def __init__(self, volumes: Path) -> None:
        self._volumes = volumes
        self._seen: set[str] = set()
        self._found: dict[str, Prey] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scout")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for prey in self._found.values():
            prey.close()

    def take(self, branch: str) -> Prey | None:
        """Return whoever works on a branch; from then on it is the caller's to close."""
        return self._found.pop(branch, None)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            for volume in self._volumes.iterdir():
                if volume.name not in self._seen and (found := preys.open_in(volume / "_data")):
                    self._seen.add(volume.name)
                    self._keep(found)

    def _keep(self, prey: Prey) -> None:
        # Checks of the same branch have a checkout, too, later.
        if prey.branch in self._found:
            prey.close()
        else:
            self._found[prey.branch] = prey
