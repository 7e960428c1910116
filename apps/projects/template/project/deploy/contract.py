"""The environment contract of project.yaml: its entries, and the value of each at a release."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.plain_yaml import NotPlain, parse

ROOT = Path(__file__).resolve().parent.parent
SECRETS = ("user_secret", "generated_secret")
_NAME = re.compile(r"\$\{([^{}]*)\}")


class ContractBroken(ValueError):
    """The contract cannot be met; the message names the variable, never a value."""


def load(root: Path = ROOT) -> dict[str, Any]:
    """Return the manifest.

    Raises:
        ContractBroken: it is not written in plain YAML.
    """
    try:
        manifest = parse((root / "project.yaml").read_text(encoding="utf-8"))
    except NotPlain as error:
        raise ContractBroken(f"project.yaml: {error}") from error
    if not isinstance(manifest, dict):
        raise ContractBroken("project.yaml is not a mapping")
    return manifest


def entries(manifest: Mapping[str, Any], target: str = "compose") -> list[dict[str, Any]]:
    """Return the entries of the contract for a target."""
    found = manifest.get("environment") or []
    return [entry for entry in found if target in entry.get("targets", ["process", "compose"])]


def secrets(manifest: Mapping[str, Any]) -> list[str]:
    """Return the names of the secrets of a release."""
    return sorted(entry["key"] for entry in entries(manifest) if entry["source"] in SECRETS)


class Values:
    """The value of every entry that has one.

    Args:
        manifest: with the contract.
        given: where the secrets are, by their names; an empty one counts as absent.
        ports: by the names of allocated entries.
        facts: what rules may name besides entries.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        *,
        given: Mapping[str, str],
        ports: Mapping[str, Any],
        facts: Mapping[str, str],
    ) -> None:
        self._known = {entry["key"]: entry for entry in entries(manifest)}
        self._given, self._ports, self._facts = given, ports, facts
        self._found: dict[str, str | None] = {}

    def all(self) -> dict[str, str]:
        """Return them by their keys.

        Raises:
            ContractBroken: a required value is missing, or a rule leads nowhere or to itself.
        """
        return {key: value for key in self._known if (value := self._value(key, ())) is not None}

    def _value(self, key: str, path: tuple[str, ...]) -> str | None:
        if key in path:
            raise ContractBroken(f"{key}: its rule leads back to itself")
        if key not in self._found:
            found = self._compute(self._known[key], path)
            if found is None and self._known[key].get("required", True):
                raise ContractBroken(f"{key}: there is no value for it")
            self._found[key] = found
        return self._found[key]

    def _compute(self, entry: dict[str, Any], path: tuple[str, ...]) -> str | None:
        key = entry["key"]
        match entry["source"]:
            case "literal":
                return str(entry["value"])
            case "allocation":
                return self._port(key)
            case "derived":
                return self._derived(entry["rule"], (*path, key))
            case "user_secret" | "generated_secret":
                return self._given.get(key) or None
        raise ContractBroken(f"{key}: its source is unknown")

    def _derived(self, rule: str, path: tuple[str, ...]) -> str | None:
        pieces: dict[str, str] = {}
        for name in _NAME.findall(rule):
            if name not in self._facts and name not in self._known:
                raise ContractBroken(f"{path[-1]}: its rule names something unknown")
            piece = self._facts[name] if name in self._facts else self._value(name, path)
            if piece is None:
                return None
            pieces[name] = piece
        return _NAME.sub(lambda match: pieces[match[1]], rule)

    def _port(self, key: str) -> str | None:
        port = self._ports.get(key)
        if port is None:
            return None
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ContractBroken(f"{key}: this is not a port")
        return str(port)
