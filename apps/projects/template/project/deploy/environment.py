"""What the environment contract of project.yaml comes to; needs nothing but Python.

    python3 -m deploy.environment release DIRECTORY   from the environment of a workflow to a release's files
    python3 -m deploy.environment example             prints .env.example
    python3 -m deploy.environment secrets             prints the names of the secrets of a release, one a line
    python3 -m deploy.environment images SHA          prints service and image of each image of a commit

A release gets `.env`, which its compose files name, and `compose.values.json`, which gives each service the
variables it consumes and no others. Neither is ever shown: both hold secrets.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.contract import ROOT, ContractBroken, Values, entries, load, secrets

_SIMPLE = re.compile(r"[A-Za-z0-9_.-]*")


def compose_values(manifest: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return a compose file that gives each service what it consumes."""
    services: dict[str, dict[str, str]] = {}
    for entry in entries(manifest):
        for consumer in entry.get("consumers", []):
            if entry["key"] in values:
                # A dollar sign would begin a name for compose.
                services.setdefault(consumer, {})[entry["key"]] = values[entry["key"]].replace("$", "$$")
    return {"services": {name: {"environment": variables} for name, variables in services.items()}}


def dotenv(manifest: Mapping[str, Any], values: Mapping[str, str], facts: Mapping[str, str]) -> str:
    """Return what the compose files name: allocated ports, generated secrets, the release.

    Raises:
        ContractBroken: a value would need quotes, which versions of compose read differently.
    """
    lines = {"PROJECT": facts["project.slug"], "RELEASE": facts["release.sha"]}
    for entry in entries(manifest):
        if entry["source"] in ("allocation", "generated_secret") and entry["key"] in values:
            lines[entry["key"]] = values[entry["key"]]
    for key, text in lines.items():
        if not _SIMPLE.fullmatch(text):
            raise ContractBroken(f"{key}: has characters that need quotes")
    return "".join(f"{key}={text}\n" for key, text in lines.items())


def example(manifest: Mapping[str, Any]) -> str:
    """Return the text of .env.example."""
    head = (
        "# Copy this to .env and fill it in. Made by `make env-example` out of project.yaml; edit that one.\n"
    )
    return head + "".join(map(_example_of, manifest.get("environment") or []))


def _example_of(entry: Mapping[str, Any]) -> str:
    described = entry.get("description") or ""
    words = described["en"] if isinstance(described, dict) else described
    kind = entry["source"].replace("_", " ") + ("" if entry.get("required", True) else ", optional")
    assignments = {
        "literal": f"{entry['key']}={entry.get('value')}",
        "derived": f"# {entry['key']}={entry.get('rule')}",
        "allocation": f"{entry['key']}=8000",
        "generated_secret": f"{entry['key']}=only-for-development",
        "user_secret": f"{entry['key']}=",
    }
    return f"\n# {words} ({kind})\n{assignments[entry['source']]}\n"


def project_facts() -> dict[str, str]:
    """Return what the project is called."""
    facts: dict[str, str] = json.loads((ROOT / "deploy" / "project.json").read_text(encoding="utf-8"))
    return facts


def images(manifest: Mapping[str, Any], sha: str) -> dict[str, str]:
    """Return the image of each service at a commit."""
    slug = project_facts()["slug"]
    return {service["name"]: f"{slug}-{service['name']}:{sha}" for service in manifest["services"]}


def write_release(directory: Path, environment: Mapping[str, str]) -> None:
    """Write a release's files.

    Raises:
        ContractBroken: see `Values.all` and `dotenv`.
    """
    project = project_facts()
    manifest = load()
    ports = json.loads(environment.get("PORTS") or "{}")
    if not isinstance(ports, dict):
        raise ContractBroken("PORTS is not an object")
    facts = {
        "project.slug": project["slug"],
        "project.name": project["name"],
        "release.sha": environment["RELEASE"],
        "server.host": environment.get("DEPLOY_HOST", ""),
        "data": "/data",
    }
    values = Values(manifest, given=environment, ports=ports, facts=facts).all()
    os.umask(0o077)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ".env").write_text(dotenv(manifest, values, facts), encoding="utf-8")
    content = json.dumps(compose_values(manifest, values), ensure_ascii=False, indent=1)
    (directory / "compose.values.json").write_text(content, encoding="utf-8")
    web = next((entry["key"] for entry in entries(manifest) if entry.get("role") == "web"), None)
    url = f"http://{facts['server.host']}:{values[web]}" if web in values and facts["server.host"] else ""
    (directory / "url").write_text(url, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    try:
        match arguments:
            case ["release", directory]:
                write_release(Path(directory), os.environ)
            case ["example"]:
                sys.stdout.write(example(load()))
            case ["secrets"]:
                sys.stdout.write("".join(f"{name}\n" for name in secrets(load())))
            case ["images", sha]:
                found = images(load(), sha)
                sys.stdout.write("".join(f"{name} {image}\n" for name, image in found.items()))
            case _:
                sys.stderr.write("usage: environment release DIRECTORY | example | secrets | images SHA\n")
                return 2
    except (ContractBroken, KeyError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
