"""What a verification is asked to prove. Written by the control plane, so it is trusted but still checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SPEC_NAME: Final = "spec.json"
BUNDLE_NAME: Final = "change.bundle"

#: Seconds that each kind of command may take; ``limits`` of the spec overrides them by name.
DEFAULT_LIMITS: Final[Mapping[str, float]] = {
    "clone_seconds": 120.0,
    "setup_seconds": 300.0,
    "tests_seconds": 120.0,
    "check_seconds": 600.0,
}
#: Where the check leaves a JUnit report, if it writes one.
DEFAULT_JUNIT: Final = ".reports/junit.xml"


class SpecInvalid(Exception):
    """The specification cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One commit, where it comes from, and how it is checked."""

    base_sha: str
    head_sha: str
    commands: Mapping[str, str]  # setup, check, tests; each is handed to a shell
    protected: tuple[str, ...] = ()  # globs of files that are taken from the base
    allow_removed_tests: bool = False
    junit: str = DEFAULT_JUNIT  # path inside the project
    limits: Mapping[str, float] = field(default_factory=lambda: DEFAULT_LIMITS)


def read_spec(path: Path) -> Spec:
    """Read a specification.

    Raises:
        SpecInvalid: naming what is wrong.

    """
    try:
        return _parse(json.loads(path.read_text()))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecInvalid(f"{path.name}: {type(error).__name__}: {error}") from error


def _parse(document: Any) -> Spec:
    return Spec(
        base_sha=_sha(document["base_sha"]),
        head_sha=_sha(document["head_sha"]),
        commands={name: _text(document["commands"][name]) for name in ("setup", "check", "tests")},
        protected=tuple(_text(pattern) for pattern in document.get("protected", ())),
        allow_removed_tests=bool(document.get("allow_removed_tests", False)),
        junit=_inside(document.get("junit", DEFAULT_JUNIT)),
        limits={
            name: float(document.get("limits", {}).get(name, default))
            for name, default in DEFAULT_LIMITS.items()
        },
    )


def _sha(value: Any) -> str:
    if len(_text(value)) != 40 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("not the id of a commit")
    return str(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a text")
    return value


def _inside(value: Any) -> str:
    if _text(value).startswith("/") or ".." in value.split("/"):
        raise ValueError("not a path inside the project")
    return str(value)
