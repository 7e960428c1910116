"""Rows of the infra app."""

from apps.infra.models.deployment import (
    DeploymentStatus,
    DeploymentTarget,
    PortAllocation,
    ServiceDeployment,
    ServiceKind,
)
from apps.infra.models.drill import DrillOutcome, ServerDrill
from apps.infra.models.incident import Incident, IncidentSeverity, IncidentStatus
from apps.infra.models.metric import ServerMetric
from apps.infra.models.provisioning import (
    UNFINISHED_PROVISIONING,
    Provisioning,
    ProvisioningKind,
    ProvisioningStatus,
)
from apps.infra.models.server import (
    MAY_BE_REINSTALLED,
    MAY_BE_SET_UP,
    IdentityPurpose,
    IdentityStatus,
    Server,
    ServerHealth,
    ServerKind,
    ServerProvider,
    ServerStatus,
    SshIdentity,
)

__all__ = [
    "MAY_BE_REINSTALLED",
    "MAY_BE_SET_UP",
    "UNFINISHED_PROVISIONING",
    "DeploymentStatus",
    "DeploymentTarget",
    "DrillOutcome",
    "IdentityPurpose",
    "IdentityStatus",
    "Incident",
    "IncidentSeverity",
    "IncidentStatus",
    "PortAllocation",
    "Provisioning",
    "ProvisioningKind",
    "ProvisioningStatus",
    "Server",
    "ServerDrill",
    "ServerHealth",
    "ServerKind",
    "ServerMetric",
    "ServerProvider",
    "ServerStatus",
    "ServiceDeployment",
    "ServiceKind",
    "SshIdentity",
]
