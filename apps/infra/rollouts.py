"""Releases of whole projects on servers: asked for here, reported by whoever follows a workflow.

The row is the fence: while it is on its way, or what it did is not undone yet,
somebody may be at work on the server, and no other release of the project begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.failures import Failure, FailureKind
from apps.infra import allocation, identities, releases, settling, tasks
from apps.infra.models import (
    DeploymentStatus,
    DeploymentTarget,
    IdentityPurpose,
    PortAllocation,
    Server,
    ServiceDeployment,
)
from apps.infra.requests import RolloutRequest
from apps.infra.selectors import COMING, get_deployment
from apps.infra.services import DeploymentUnderWay

URL_CHARACTERS = 500
_NOT_THERE = (DeploymentStatus.PENDING, DeploymentStatus.INSTALLING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """How a workflow reaches the server, and the ports it may use."""

    secrets: Mapping[str, str] = field(repr=False)
    ports: Mapping[str, int]  # by role


@transaction.atomic
def request_rollout(*, idempotency_key: str, request: RolloutRequest) -> UUID:
    """Give a project's release its server and ports; asking twice with one key is asking once.

    Raises:
        DeploymentUnderWay: another release of this project is not settled yet.
        NeverFits, NoCapacity, NoServer, ServerAway, ServerIncomplete: there is no place for it.
    """
    known = _find_known(idempotency_key)
    if known is not None:
        return known
    server = allocation.choose_for_project(project_id=request.project_id, roles=request.roles)
    # Our own twin may have been first while we waited for the servers' rows.
    known = _find_known(idempotency_key)
    if known is not None:
        return known
    if _is_fenced(request.project_id):
        raise DeploymentUnderWay()
    allocation.standing_ports(
        server=server, project_id=request.project_id, owner_id=request.owner_id, roles=request.roles
    )
    try:
        with transaction.atomic():
            row = ServiceDeployment.objects.create(
                idempotency_key=idempotency_key,
                server=server,
                target=DeploymentTarget.SERVER if request.by_us else DeploymentTarget.WORKFLOW,
                owner_id=request.owner_id,
                project_id=request.project_id,
                project_slug=request.project_slug,
                task_id=request.task_id,
                service_name=allocation.PROJECT,
                **_released(request),
            )
    except IntegrityError as error:
        raise DeploymentUnderWay() from error
    if request.by_us:
        enqueue(tasks.reconcile_deployment, deployment_id=str(row.pk))
    return row.pk


@transaction.atomic
def retarget(*, deployment_id: UUID, request: RolloutRequest) -> None:
    """Let a release whose workflow has not put anything live be one of another commit.

    Raises:
        NoCapacity: it needs another port, and the server has none.
        NotFound: there is no such deployment.
    """
    row = get_deployment(deployment_id=deployment_id)
    if row.commit_sha == request.commit_sha:
        return
    server = Server.objects.select_for_update().get(pk=row.server_id)
    allocation.standing_ports(
        server=server, project_id=row.project_id, owner_id=row.owner_id, roles=request.roles
    )
    coming = ServiceDeployment.objects.filter(pk=row.pk, status__in=_NOT_THERE)
    coming.update(**_released(request))


def get_access(*, deployment_id: UUID) -> Access:
    """Return what a workflow needs to reach the server of a release.

    Raises:
        NotFound: there is no such deployment.
    """
    row = get_deployment(deployment_id=deployment_id)
    server = row.server
    key = identities.find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
    ports = PortAllocation.objects.filter(server=server, project_id=row.project_id, deployment=None)
    return Access(
        secrets={
            "DEPLOY_HOST": server.host,
            "DEPLOY_PORT": str(server.ssh_port),
            "DEPLOY_USER": server.ssh_user,
            "DEPLOY_SSH_KEY": key.private_key if key else "",
            "DEPLOY_HOST_KEY": server.host_key,
        },
        ports=dict(ports.values_list("role", "port")),
    )


@transaction.atomic
def report_begun(*, deployment_id: UUID) -> None:
    """Record that the workflow has begun; said again, or too late, it changes nothing."""
    if ServiceDeployment.try_transition(
        deployment_id, to=DeploymentStatus.INSTALLING, expect=DeploymentStatus.PENDING, installs=1
    ):
        _announce(deployment_id)


@transaction.atomic
def report_success(
    *, deployment_id: UUID, url: str, images: Mapping[str, str], evidence: Mapping[str, Any]
) -> None:
    """Record that the workflow put the release on its server; now it is asked from outside.

    Args:
        deployment_id: the release.
        url: what the workflow reported; a stranger's words.
        images: name → digest.
        evidence: what else is worth keeping, such as the run's address.
    """
    now = timezone.now()
    if ServiceDeployment.try_transition(
        deployment_id,
        to=DeploymentStatus.STARTING,
        url=_with_path(url)[:URL_CHARACTERS],
        images=dict(images),
        evidence=dict(evidence),
        installed_at=now,
        deadline_at=now + timedelta(seconds=settings.INFRA_ANSWER_DEADLINE_SECONDS),
        starts=1,
    ):
        _announce(deployment_id)
        enqueue(tasks.reconcile_deployment, deployment_id=str(deployment_id))


@transaction.atomic
def report_failure(*, deployment_id: UUID, failure: Failure) -> None:
    """Record that the workflow did not bring the release about, and that it has ended."""
    platform = failure.kind in (FailureKind.PLATFORM, FailureKind.PROVIDER)
    now = timezone.now()
    details = {name: text for name, text in failure.details.items() if name != "log_tail"}
    record = {**failure.as_json(), "details": details}
    if ServiceDeployment.try_transition(
        deployment_id,
        to=DeploymentStatus.CRASHED if platform else DeploymentStatus.FAILED,
        failure=record,
        log_tail=str(failure.details.get("log_tail", "")),
        finished_at=now,
        removed_at=now,
    ):
        _announce(deployment_id)
        return
    report_end(deployment_id=deployment_id)


@transaction.atomic
def report_end(*, deployment_id: UUID) -> None:
    """Record that a canceled release's workflow has ended, or never ran."""
    now = timezone.now()
    if ServiceDeployment.try_transition(
        deployment_id, to=DeploymentStatus.CANCELED, finished_at=now, removed_at=now
    ):
        _announce(deployment_id)


def _released(request: RolloutRequest) -> dict[str, Any]:
    """Return the fields of a row that tell one commit's release from another's."""
    fields = {
        "commit_sha": request.commit_sha,
        "kind": request.kind,
        "health_path": request.health_path,
        **request.facts.as_fields(),
    }
    ours = request.by_us
    if ours is None:
        return fields
    return fields | {
        "bundle_name": ours.bundle_name,
        "bundle_sha256": ours.bundle_sha256,
        "environment": releases.stored_environment(ours.secrets, list(ours.secrets.values())),
        "token_variable": ours.token_variable,
    }


def _is_fenced(project_id: UUID) -> bool:
    rows = ServiceDeployment.objects.filter(project_id=project_id)
    undone = rows.filter(target=DeploymentTarget.SERVER, removed_at=None).exclude(
        status=DeploymentStatus.LIVE
    )
    return undone.exists() or rows.filter(status__in=COMING).exists()


def _with_path(url: str) -> str:
    """Return an address as users reach it, with a slash after the host."""
    return f"{url}/" if url and url.count("/") == 2 else url


def _announce(deployment_id: UUID) -> None:
    settling.announce(get_deployment(deployment_id=deployment_id))


def _find_known(idempotency_key: str) -> UUID | None:
    rows = ServiceDeployment.objects.filter(idempotency_key=idempotency_key)
    return rows.values_list("pk", flat=True).first()
