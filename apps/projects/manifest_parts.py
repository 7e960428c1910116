"""What the parts of a manifest are made of: its errors and its kinds of words."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from apps.errors import Invalid

FILE_NAME: Final = "project.yaml"


class ManifestInvalid(Invalid):
    """The project's manifest cannot be used."""

    code = "manifest_invalid"


class ManifestMissing(ManifestInvalid):
    """The project has no manifest."""

    code = "manifest_missing"


class Part(BaseModel):
    """A mapping of the manifest: unknown fields are refused, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be one line of printable characters")
    return value


def _prose(value: str) -> str:
    if not all(line.isprintable() for line in value.split("\n")):
        raise ValueError("must be printable")
    return value.strip()


def _inside(value: str) -> str:
    if value.startswith("/") or any(part in ("", ".", "..") for part in value.split("/")):
        raise ValueError("must be a relative path that stays inside")
    return _printable(value)


def _http_path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", value):
        raise ValueError("must be a path that begins with a slash")
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("must not repeat a value")
    return values


Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
CommandLine = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=2_000), AfterValidator(_printable)]
Prose = Annotated[str, Field(max_length=1_000), AfterValidator(_prose)]
Glob = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_inside)]
Directory = Annotated[str, Field(max_length=200), AfterValidator(_inside)]
HttpPath = Annotated[str, Field(max_length=200), AfterValidator(_http_path)]
#: The name of a check as the git host shows it.
CheckName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.ya?ml$")]
Distinct = AfterValidator(_distinct)
