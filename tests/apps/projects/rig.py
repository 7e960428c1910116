"""What the tests of the reconcilers share: tools with quick parts, a kill at any call, a disk that fills."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from apps import storage
from apps.projects.forge.base import ForgeUnavailable
from apps.projects.templating import RenderResult, TemplateAnswers
from apps.projects.tools import Tools
from tests.factories import MANIFEST

LATER = timedelta(minutes=10)


class Killed(BaseException):
    """Stands for `kill -9`: nothing of ours may catch it."""


class KillSwitch:
    """Counts the calls of all tools and ends the process, so to speak, before or after one of them."""

    def __init__(self, *, at: int | None = None, after: bool = False) -> None:
        self._at, self._after = at, after
        self.calls: list[str] = []

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            hit = len(self.calls) == self._at
            if hit and not self._after:
                raise Killed(name)
            answer = function(*arguments, **options)
            if hit:
                raise Killed(name)
            return answer

        return call

    def wrap(self, tools: Tools) -> Tools:
        return replace(
            tools,
            forge=_Watched(tools.forge, self),
            hosting=_Watched(tools.hosting, self) if tools.hosting is not None else None,
            render=self.around("render", tools.render),
            save_bundle=self.around("save_bundle", tools.save_bundle),
        )


class DownForge:
    """A git host that does not answer."""

    def __getattr__(self, _name: str) -> Callable[..., Any]:
        def refuse(*_arguments: Any, **_options: Any) -> Any:
            raise ForgeUnavailable

        return refuse


def kills(calls: int) -> list[Any]:
    """Parameters `at` and `after`: before the first call, and after each; no effect lies elsewhere."""
    return [(1, False), *((at, True) for at in range(1, calls + 1))]


class _Watched:
    def __init__(self, inner: Any, switch: KillSwitch) -> None:
        self._inner, self._switch = inner, switch

    def __getattr__(self, name: str) -> Any:
        return self._switch.around(name, getattr(self._inner, name))


def quick_render(destination: Path, *, answers: TemplateAnswers) -> RenderResult:
    """A template of three files."""
    destination.mkdir()
    (destination / "project.yaml").write_text(yaml.safe_dump(MANIFEST))
    (destination / "Makefile").write_text("check:\n")
    (destination / "README.md").write_text(f"{answers.project_name}\n{answers.project_description}\n")
    return RenderResult(files=("Makefile", "README.md", "project.yaml"), template_version="7.0.0")


def make_tools(forge: Any, scratch: Path, **changes: Any) -> Tools:
    """Tools with a quick template."""
    return replace(Tools(forge=forge, scratch=scratch, render=quick_render), **changes)


def late() -> datetime:
    """A clock for which every deadline has passed."""
    return datetime.now(UTC) + LATER


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Mount two megabytes at a directory; False when this machine does not let us."""
    place.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> Path:
    """Write until the disk is full; delete the returned file to make room again."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65_536)
    return ballast


def stored_names() -> set[str]:
    """What is in the storage, by name."""
    root = Path(storage.default_storage.path(""))
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
