"""What callers of this app hand over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


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
    health_path: str
    data_directory: str = ""  # relative; kept between releases
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # the project's secrets
