"""From an environment contract to what each service gets: pure.

What only the place of a release knows (its port, its host, its data directory)
stays a named piece of the value, and is filled in by whoever starts it there: a
port may change until then.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apps.errors import Invalid
from apps.projects.environment_contract import Entry, Target, pieces_of
from apps.projects.manifest import Manifest, Service

DEFAULT_SECRET_BYTES: Final = 32
#: What is filled in where the release starts.
_PLACE: Final = {"server.host": "host", "data": "data"}

#: A value in pieces: texts, and the names of what the release's place fills in.
Piece = tuple[str, str]
Value = tuple[Piece, ...]


class EnvironmentUnresolved(Invalid):
    """A variable of the environment contract has no value yet."""

    code = "environment_unresolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What rules may name."""

    slug: str
    name: str
    sha: str
    ports: Mapping[str, int] = field(default_factory=dict)  # role → port of services that run already


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownSecret:
    """A secret we have; its value may be with the git host only."""

    digest: str  # keyed
    value: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What the values of one service's variables are made of."""

    entries: Mapping[str, Entry]
    service: Service
    facts: Facts
    secrets: Mapping[str, KnownSecret]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What a contract comes to, for one target."""

    missing: tuple[Entry, ...]  # only a person can give them
    to_generate: tuple[Entry, ...]
    secret_keys: tuple[str, ...]  # of the secrets that are known and wanted
    roles: Mapping[str, str]  # variable → role of the port it tells
    digest: str  # keyed; equal for equal contracts, secrets and ports


def entries_of(manifest: Manifest, target: Target) -> tuple[Entry, ...]:
    """Return the entries for a target, those that the services' own lists of secrets mean included."""
    declared = {entry.key for entry in manifest.environment}
    listed: dict[str, list[str]] = {}
    for service in manifest.services:
        for key in service.secrets:
            if key not in declared:
                listed.setdefault(key, []).append(service.name)
    meant = (Entry(key=key, source="user_secret", consumers=tuple(names)) for key, names in listed.items())
    return (*(entry for entry in manifest.environment if target in entry.targets), *meant)


def resolve(
    manifest: Manifest, *, target: Target, facts: Facts, secrets: Mapping[str, KnownSecret], key: bytes
) -> Resolution:
    """Find out what is missing and what has to be generated.

    Args:
        manifest: with the contract.
        target: how the services will run.
        facts: what rules may name.
        secrets: by name, as far as they are known.
        key: of the digest.

    """
    entries = entries_of(manifest, target)
    wanted = [entry for entry in entries if entry.is_secret]
    unknown = [entry for entry in wanted if entry.key not in secrets]
    return Resolution(
        missing=tuple(entry for entry in unknown if entry.source == "user_secret" and entry.required),
        to_generate=tuple(entry for entry in unknown if entry.source == "generated_secret"),
        secret_keys=tuple(sorted({entry.key for entry in wanted} & secrets.keys())),
        roles={entry.key: entry.role for entry in entries if entry.role is not None},
        digest=_digest(entries, target=target, facts=facts, secrets=secrets, key=key),
    )


def variables_of(
    manifest: Manifest, service: Service, *, facts: Facts, secrets: Mapping[str, KnownSecret]
) -> dict[str, Value]:
    """Return what a service that runs as a process gets.

    Raises:
        EnvironmentUnresolved: ``details["field"]`` names the entry whose value is not known.

    """
    entries = entries_of(manifest, "process")
    declared = {entry.key: entry for entry in entries}
    known = _Known(entries=declared, service=service, facts=facts, secrets=secrets)
    found = {entry.key: _value(entry, known) for entry in entries if service.name in entry.consumers}
    given = {key: value for key, value in found.items() if value is not None}
    if manifest.environment:
        return given
    # Without a contract every service gets what people gave to the project.
    undeclared = {key: secret for key, secret in secrets.items() if key not in declared}
    return {**{key: _text(secret.value or "") for key, secret in undeclared.items()}, **given}


def as_json(value: Value) -> str | list[list[str]]:
    """Return a value in the form that a release's row keeps: a text, or the list of its pieces."""
    if all(kind == "text" for kind, _ in value):
        return "".join(text for _, text in value)
    return [list(piece) for piece in value]


def version_of(manifest: Mapping[str, Any]) -> str:
    """Return the digest that names this version of a manifest."""
    return hashlib.sha256(_canonical(manifest)).hexdigest()


def _value(entry: Entry, known: _Known) -> Value | None:
    """Return an entry's value for a service; None when it rests on an optional secret that nobody gave."""
    match entry.source:
        case "literal":
            return _text(entry.value or "")
        case "allocation":
            return _port(entry, known)
        case "derived":
            return _derived(entry, known)
    secret = known.secrets.get(entry.key)
    if secret is None and not entry.required:
        return None
    if secret is None or secret.value is None:
        raise _unresolved(entry.key, "its value is not with us")
    return _text(secret.value)


def _derived(entry: Entry, known: _Known) -> Value | None:
    facts = known.facts
    ours = {"project.slug": facts.slug, "project.name": facts.name, "release.sha": facts.sha}
    pieces: list[Piece] = []
    for is_name, word in pieces_of(entry.rule or ""):
        if not is_name:
            pieces.append(("text", word))
        elif word in _PLACE:
            pieces.append(("fact", _PLACE[word]))
        elif word in ours:
            pieces.append(("text", ours[word]))
        else:
            inner = _value(known.entries[word], known)
            if inner is None:
                return None
            pieces.extend(inner)
    return tuple(pieces)


def _port(entry: Entry, known: _Known) -> Value:
    role = entry.role or ""
    if role == known.service.port:
        return (("fact", "port"),)
    if role not in known.facts.ports:
        raise _unresolved(entry.key, f"no service with a port of role {role} runs yet")
    return _text(str(known.facts.ports[role]))


def _text(text: str) -> Value:
    return (("text", text),)


def _digest(
    entries: tuple[Entry, ...],
    *,
    target: Target,
    facts: Facts,
    secrets: Mapping[str, KnownSecret],
    key: bytes,
) -> str:
    content = {
        "target": target,
        "contract": [entry.model_dump(mode="json", exclude={"description"}) for entry in entries],
        "secrets": {entry.key: secrets[entry.key].digest for entry in entries if entry.key in secrets},
        "project": [facts.slug, facts.name],
        "ports": dict(facts.ports),
    }
    return hmac.new(key, _canonical(content), "sha256").hexdigest()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _unresolved(key: str, problem: str) -> EnvironmentUnresolved:
    return EnvironmentUnresolved(
        f"The variable {key} has no value: {problem}.", details={"field": f"environment.{key}"}
    )
