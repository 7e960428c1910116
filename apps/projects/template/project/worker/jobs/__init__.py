"""One module per kind of job; they are found, not listed.

A job is a function of its payload (plain JSON) under `@job`. It may run twice, after a crash between its
work and the note that it is done, so its effect has to be the same when it is repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

Function = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A kind of job: what it does and how often by itself, if at all."""

    name: str
    function: Function
    every_seconds: float | None


_known: dict[str, Job] = {}


def job(*, every_seconds: float | None = None) -> Callable[[Function], Function]:
    """Make a function known as a job of its own name; with `every_seconds` it is repeated by itself."""

    def remember(function: Function) -> Function:
        name = function.__name__
        if name in _known and _known[name].function.__module__ != function.__module__:
            raise ValueError(f"Two jobs are called {name}")
        _known[name] = Job(name=name, function=function, every_seconds=every_seconds)
        return function

    return remember


def load() -> dict[str, Job]:
    """Import every module of this package and return the jobs by name."""
    for module in sorted(module.name for module in iter_modules(__path__)):
        import_module(f"{__name__}.{module}")
    return dict(_known)
