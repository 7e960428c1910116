"""What a deployment run releases: its manifest, its secrets, and what the environment contract comes to."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from apps.graph.nodes import facts
from apps.graph.state import RunState
from apps.infra import selectors as infra
from apps.infra.requests import ReleaseFacts
from apps.projects import selectors as projects
from apps.projects.environment import Facts, KnownSecret, Resolution, resolve, version_of
from apps.projects.environment_contract import Target
from apps.projects.manifest import Manifest, Service
from apps.projects.models import ForgeName, Project
from apps.projects.secrets_digest import environment_key

TOKEN_FORMAT = "telegram_bot_token"


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One release as a run makes it."""

    project: Project
    manifest: Manifest
    target: Target
    facts: Facts
    secrets: dict[str, KnownSecret]
    resolution: Resolution
    rollback_of: UUID | None

    @property
    def web(self) -> Service | None:
        """Return the first service that answers requests."""
        return next((service for service in self.manifest.services if service.kind == "web"), None)

    def record(self) -> ReleaseFacts:
        """Return what a release's row keeps of what it was made of."""
        contract = self.manifest.model_dump(mode="json")
        return ReleaseFacts(
            environment_digest=self.resolution.digest,
            contract_version=version_of(contract),
            contract=contract,
            rollback_of=self.rollback_of,
        )

    def token_variable(self, service: Service) -> str:
        """Return the variable by which a bot logs in; empty when the contract names none."""
        if service.kind != "bot":
            return ""
        entries = (one for one in self.manifest.environment if "process" in one.targets)
        tokens = (one.key for one in entries if one.format == TOKEN_FORMAT and service.name in one.consumers)
        return next(tokens, "")


def release_of(state: RunState) -> Release:
    """Read what a run releases.

    Raises:
        ManifestUnusable: the manifest is missing or not valid, or lists no service.

    """
    project = facts.project_of(state)
    rollback_of = UUID(state["rollback_to"]) if state.get("rollback_to") else None
    manifest = _manifest(project, rollback_of)
    is_process = project.forge == ForgeName.LOCAL and state.get("place") != "server"
    target: Target = "process" if is_process else "compose"
    names = Facts(
        slug=project.slug, name=project.name, sha=state["commit_sha"], ports=state.get("ports") or {}
    )
    secrets = projects.known_secrets(project_id=project.pk)
    # Ports differ from release to release where each is a process; they say nothing about the environment.
    plain = Facts(slug=project.slug, name=project.name, sha=state["commit_sha"])
    return Release(
        project=project,
        manifest=manifest,
        target=target,
        facts=names,
        secrets=secrets,
        resolution=resolve(manifest, target=target, facts=plain, secrets=secrets, key=environment_key()),
        rollback_of=rollback_of,
    )


def _manifest(project: Project, rollback_of: UUID | None) -> Manifest:
    record: dict[str, Any] = project.manifest or {}
    if rollback_of is not None:
        # A release of before is repeated by what it was made of, so far as that was written down.
        record = infra.get_deployment(deployment_id=rollback_of).contract or record
    try:
        manifest = Manifest.model_validate(record)
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise facts.ManifestUnusable(details={"field": field[:100]}) from None
    if not manifest.services:
        raise facts.ManifestUnusable(details={"field": "services"})
    return manifest
