"""The manifest `project.yaml` of a generated project: what it consists of and how to check and run it."""

import re
from collections.abc import Hashable
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from apps.errors import Invalid

FILE_NAME: Final = "project.yaml"
MAX_BYTES: Final = 65_536
_MAX_DEPTH: Final = 10


class ManifestInvalid(Invalid):
    """The project's manifest cannot be used."""

    code = "manifest_invalid"


class ManifestMissing(ManifestInvalid):
    """The project has no manifest."""

    code = "manifest_missing"


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be one line of printable characters")
    return value


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
Glob = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_inside)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Commands(_Part):
    """What to run in a checkout; each is handed to a shell inside a unit."""

    setup: CommandLine
    check: CommandLine
    tests: CommandLine  # prints one test id per line on stdout


class Service(_Part):
    """A process the project wants to have running."""

    name: Word
    run: CommandLine
    port: Word  # the role; the number comes in the environment as PORT
    health: Annotated[str, Field(max_length=200), AfterValidator(_http_path)]
    data: Annotated[str, Field(max_length=200), AfterValidator(_inside)] | None = (
        None  # kept between releases
    )
    #: Variables whose values only a person can give; asked for before the first deployment.
    secrets: Annotated[tuple[Variable, ...], Field(max_length=50, strict=False)] = ()


class Manifest(_Part):
    """All of it."""

    version: Literal[1]
    modules: Annotated[
        tuple[Word, ...], Field(min_length=1, max_length=20, strict=False), AfterValidator(_distinct)
    ]
    commands: Commands
    services: Annotated[tuple[Service, ...], Field(max_length=20, strict=False)] = ()
    protected: Annotated[tuple[Glob, ...], Field(max_length=100, strict=False)] = ()


def parse_manifest(content: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        ManifestInvalid: it is too large, not plain YAML, or a field is wrong; the details name the
            field, never the value.

    """
    if len(content) > MAX_BYTES:
        raise ManifestInvalid("The manifest is too large", details={"field": FILE_NAME})
    try:
        parsed = yaml.load(content.decode("utf-8"), Loader=_PlainLoader)
        if not isinstance(parsed, dict):
            raise ManifestInvalid("The manifest is not a mapping", details={"field": FILE_NAME})
        manifest = Manifest.model_validate(parsed)
    except ValidationError as error:
        raise _field_error(error) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        reason = f"The manifest is not plain YAML: {type(error).__name__}"
        raise ManifestInvalid(reason, details={"field": FILE_NAME}) from None
    names = [service.name for service in manifest.services]
    if len(set(names)) != len(names):
        raise ManifestInvalid("Two services have one name", details={"field": "services"})
    return manifest


def _field_error(error: ValidationError) -> ManifestInvalid:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A key's name is the author's text: keep it short and printable.
    field = ".".join(str(part) for part in first["loc"])
    field = "".join(c if c.isprintable() else "?" for c in field)[:100]
    return ManifestInvalid(f"The manifest's field {field} is wrong: {first['msg']}", details={"field": field})


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases (they multiply), repeated keys and deep nesting."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Build one node; nothing may refer to another and nesting is bounded."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise yaml.YAMLError("nested too deeply")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Build a dict; a repeated key is an error, not an override."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if any(not isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
            raise yaml.YAMLError("keys must be distinct words")
        return super().construct_mapping(node, deep=deep)
