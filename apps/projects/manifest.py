"""The manifest `project.yaml` of a generated project: what it consists of and how to check and run it."""

from collections.abc import Hashable
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from apps.projects.environment_contract import DEPLOY_SECRETS, Entry, check_contract
from apps.projects.manifest_parts import FILE_NAME as FILE_NAME
from apps.projects.manifest_parts import (
    CheckName,
    CommandLine,
    Directory,
    Distinct,
    FileName,
    Glob,
    HttpPath,
    Part,
    Variable,
    Word,
)
from apps.projects.manifest_parts import ManifestInvalid as ManifestInvalid
from apps.projects.manifest_parts import ManifestMissing as ManifestMissing

MAX_BYTES: Final = 65_536
#: A repository may have a hundred; some of them are how the server is reached.
MAX_SECRETS: Final = 100 - len(DEPLOY_SECRETS)
_MAX_DEPTH: Final = 10

ServiceKind = Literal["web", "bot", "worker"]


class Commands(Part):
    """What to run in a checkout; each is handed to a shell inside a unit."""

    setup: CommandLine
    check: CommandLine
    tests: CommandLine  # prints one test id per line on stdout


class Service(Part):
    """A process the project wants to have running."""

    name: Word
    run: CommandLine
    kind: ServiceKind = "web"  # a bot is asked whether its token answers, a worker only has to keep running
    port: Word | None = None  # the role; the number comes in the environment as PORT
    health: HttpPath | None = None
    data: Directory | None = None  # kept between releases
    #: Variables whose values only a person can give; asked for before the first deployment.
    secrets: Annotated[tuple[Variable, ...], Field(max_length=50, strict=False)] = ()

    @model_validator(mode="after")
    def _web_answers(self) -> Self:
        if self.kind == "web" and (self.port is None or self.health is None):
            raise ValueError("a web service needs port and health")
        if self.kind != "web" and (self.port is not None or self.health is not None):
            raise ValueError("only a web service has port and health")
        return self


class Deploy(Part):
    """How the git host deploys it."""

    workflow: FileName = "main.yml"
    environment: Word = "production"


class Manifest(Part):
    """All of it."""

    version: Literal[1]
    modules: Annotated[tuple[Word, ...], Field(min_length=1, max_length=20, strict=False), Distinct]
    commands: Commands
    services: Annotated[tuple[Service, ...], Field(max_length=20, strict=False)] = ()
    protected: Annotated[tuple[Glob, ...], Field(max_length=100, strict=False)] = ()
    #: What has to pass at the git host before a change is accepted.
    checks: Annotated[tuple[CheckName, ...], Field(min_length=1, max_length=20, strict=False), Distinct] = (
        "check",
    )
    deploy: Deploy = Deploy()
    environment: Annotated[tuple[Entry, ...], Field(max_length=200, strict=False)] = ()


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
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    names = [service.name for service in manifest.services]
    if len(set(names)) != len(names):
        raise ManifestInvalid("Two services have one name", details={"field": "services"})
    listed = {key for service in manifest.services for key in service.secrets}
    secrets = listed | {entry.key for entry in manifest.environment if entry.is_secret}
    if len(secrets) > MAX_SECRETS:
        raise ManifestInvalid(
            f"There are more than {MAX_SECRETS} secrets",
            details={"field": "environment", "limit": MAX_SECRETS},
        )
    check_contract(manifest.environment, manifest.services)


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
