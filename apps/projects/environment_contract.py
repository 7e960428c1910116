"""The environment contract of a manifest: which variables the services get, and where each comes from."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from apps.projects.manifest_parts import Distinct, Line, ManifestInvalid, Part, Prose, Variable, Word

Source = Literal["user_secret", "generated_secret", "allocation", "derived", "literal"]
SecretFormat = Literal["telegram_bot_token", "openai_key", "url", "text"]
Target = Literal["process", "compose"]

TARGETS: Final[tuple[Target, ...]] = ("process", "compose")
SECRET_SOURCES: Final = frozenset({"user_secret", "generated_secret"})
#: What a rule may name besides other entries.
FACTS: Final = frozenset({"project.slug", "project.name", "release.sha", "server.host", "data"})
#: The secrets by which a workflow reaches its server; the control plane puts them itself.
DEPLOY_SECRETS: Final = ("DEPLOY_HOST", "DEPLOY_PORT", "DEPLOY_USER", "DEPLOY_SSH_KEY", "DEPLOY_HOST_KEY")
#: What a service that runs as a process is given without asking.
GIVEN: Final = frozenset({"HOST", "PORT", "DATA_DIR"})

_NAMED = re.compile(r"\$\{([^{}]*)\}")
#: Which field belongs to which source: no other may have it.
_OWN_FIELDS: Final[Mapping[str, str]] = {
    "format": "user_secret",
    "bytes": "generated_secret",
    "role": "allocation",
    "rule": "derived",
    "value": "literal",
}
_NEEDED: Final = ("role", "rule", "value")


class Words(Part):
    """A sentence for people in the languages we speak."""

    en: Prose
    ru: Prose


class Entry(Part):
    """One variable."""

    key: Variable
    source: Source
    #: Services that see it; nobody's variable may still be named by rules.
    consumers: Annotated[tuple[Word, ...], Field(max_length=20, strict=False), Distinct] = ()
    required: bool = True
    description: Prose | Words = ""
    format: SecretFormat | None = None
    bytes: Annotated[int, Field(ge=16, le=256)] | None = None  # of randomness; twice as many characters
    role: Word | None = None  # of the port
    rule: Line | None = None
    value: Line | None = None
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=2, strict=False), Distinct] = (
        TARGETS
    )

    @model_validator(mode="after")
    def _fits_its_source(self) -> Self:
        for name, source in _OWN_FIELDS.items():
            given = getattr(self, name) is not None
            if given and self.source != source:
                raise ValueError(f"{self.key}: {name} belongs to source {source}")
            if not given and self.source == source and name in _NEEDED:
                raise ValueError(f"{self.key}: source {source} needs {name}")
        if self.source in SECRET_SOURCES and (self.key.startswith("GITHUB_") or self.key in DEPLOY_SECRETS):
            raise ValueError(f"{self.key}: this name is taken by the git host or the deployment")
        return self

    @property
    def is_secret(self) -> bool:
        """Tell whether its value is kept as a secret."""
        return self.source in SECRET_SOURCES

    def describe(self, language: str) -> str:
        """Return the description in a language; English where it has no other."""
        if isinstance(self.description, str):
            return self.description
        return self.description.ru if language.startswith("ru") else self.description.en


class Consumer(Protocol):
    """What the contract knows of a service."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def port(self) -> str | None:
        """Return the role of its port."""
        ...

    @property
    def data(self) -> str | None:
        """Return its data directory."""
        ...


def names_in(rule: str) -> tuple[str, ...]:
    """Return what a rule names, in its order."""
    return tuple(_NAMED.findall(rule))


def pieces_of(rule: str) -> list[tuple[bool, str]]:
    """Cut a rule into its pieces: whether a piece is a name, and the text or name."""
    return [(number % 2 == 1, piece) for number, piece in enumerate(_NAMED.split(rule)) if piece]


def check_contract(entries: Sequence[Entry], services: Sequence[Consumer]) -> None:
    """Refuse a contract that could not be resolved.

    Raises:
        ManifestInvalid: ``details["field"]`` is ``environment.<KEY>``.

    """
    for target in TARGETS:
        mine = [entry for entry in entries if target in entry.targets]
        known = {entry.key: entry for entry in mine}
        if len(known) != len(mine):
            keys = [entry.key for entry in mine]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise _refusal(twice, f"stands twice for target {target}")
        reach: dict[str, frozenset[str]] = {}
        for entry in mine:
            _follow(entry, known, reach, path=())
            if target == "process":
                _check_process(entry, known, services, reach[entry.key])


def _follow(
    entry: Entry, known: Mapping[str, Entry], reach: dict[str, frozenset[str]], path: tuple[str, ...]
) -> frozenset[str]:
    """Return everything an entry's value depends on, itself included; each entry is followed once."""
    if entry.key in path:
        raise _refusal(entry.key, "its rule leads back to itself")
    if entry.key in reach:
        return reach[entry.key]
    rule = entry.rule or ""
    if rule.count("${") != len(names_in(rule)):
        raise _refusal(entry.key, "its rule has an unfinished name")
    found = {entry.key}
    for name in names_in(rule):
        if name in FACTS:
            found.add(name)
            continue
        if name not in known:
            raise _refusal(entry.key, "its rule names something unknown")
        if entry.required and not known[name].required:
            raise _refusal(entry.key, f"it is required and needs {name}, which is not")
        found |= _follow(known[name], known, reach, (*path, entry.key))
    reach[entry.key] = frozenset(found)
    return reach[entry.key]


def _check_process(
    entry: Entry, known: Mapping[str, Entry], services: Sequence[Consumer], needs: frozenset[str]
) -> None:
    order = [service.name for service in services]
    roles = {service.port: number for number, service in enumerate(services) if service.port}
    if entry.key in GIVEN and entry.source != "allocation":
        raise _refusal(entry.key, "every service is given a variable of this name")
    for consumer in entry.consumers:
        if consumer not in order:
            raise _refusal(entry.key, "a consumer is not a service")
        place = order.index(consumer)
        if "data" in needs and not services[place].data:
            raise _refusal(entry.key, f"the service {consumer} has no data directory")
        for role in (known[name].role for name in needs if name in known):
            if role is not None and roles.get(role, place + 1) > place:
                raise _refusal(entry.key, f"no service up to {consumer} has a port of role {role}")


def _refusal(key: str, problem: str) -> ManifestInvalid:
    return ManifestInvalid(
        f"The variable {key} of the manifest cannot be used: {problem}.",
        details={"field": f"environment.{key}"},
    )
