"""What callers of this app hand over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

#: A variable: its text, or its pieces ``["text", words]`` and ``["fact", "port"|"host"|"data"]``
#: whose facts are filled in where the release starts.
Variable = str | Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseFacts:
    """What a release is made of besides its commit, so that it can be told and repeated."""

    environment_digest: str = ""  # keyed
    contract_version: str = ""  # digest of the manifest
    contract: Mapping[str, Any] | None = None  # the manifest
    rollback_of: UUID | None = None  # the earlier release that this one repeats

    def as_fields(self) -> dict[str, Any]:
        """Return the fields of a release's row that keep them."""
        return {
            "environment_digest": self.environment_digest,
            "contract_version": self.contract_version,
            "contract": self.contract,
            "rollback_of": self.rollback_of,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploymentRequest:
    """One release of one service, with everything that is needed to install and start it."""

    owner_id: int
    project_id: UUID
    project_slug: str
    task_id: UUID | None
    service_name: str
    commit_sha: str
    bundle_name: str  # git bundle in the shared storage that holds ``commit_sha``
    bundle_sha256: str
    setup_command: str
    run_command: str
    kind: str = "web"  # web, bot or worker
    health_path: str = ""  # of a web service
    data_directory: str = ""  # relative; kept between releases
    environment: Mapping[str, Variable] = field(default_factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)  # values that no log may show
    token_variable: str = ""  # of a bot
    facts: ReleaseFacts = ReleaseFacts()


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutRequest:
    """One release of a whole project on a server: by a workflow of its git host, or by us over SSH."""

    owner_id: int
    project_id: UUID
    project_slug: str
    task_id: UUID | None
    commit_sha: str
    kind: str  # of the service that is asked from outside: web; bot or worker when nothing listens
    health_path: str = ""  # of a web service
    roles: Sequence[str] = ()  # of the ports that the project needs
    facts: ReleaseFacts = ReleaseFacts()
    by_us: "ByUs | None" = None  # None: by a workflow, which has all this from its git host


@dataclass(frozen=True, kw_only=True, slots=True)
class ByUs:
    """What we need to bring a release to its server ourselves."""

    bundle_name: str  # git bundle in the shared storage that holds the commit
    bundle_sha256: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # by the contract's names
    token_variable: str = ""  # of a project that is nothing but a bot
