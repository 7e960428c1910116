"""Requests to this app: validate, write rows, enqueue."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, Invalid
from apps.infra import allocation, entrances, releases, tasks
from apps.infra.models import (
    DeploymentStatus,
    DeploymentTarget,
    Server,
    ServerKind,
    ServerProvider,
    ServerStatus,
    ServiceDeployment,
    ServiceKind,
)
from apps.infra.requests import DeploymentRequest
from apps.infra.selectors import COMING, get_deployment


class DeploymentUnderWay(Conflict):
    """Another release of this service is on its way."""

    code = "deployment_under_way"


class StopUnsupported(Conflict):
    """What a workflow deployed runs on a server of its own; it is not stopped from here yet."""

    code = "stop_unsupported"


@transaction.atomic
def request_deployment(*, idempotency_key: str, request: DeploymentRequest) -> UUID:
    """Ask for a release to be put live; asking twice with one key is asking once.

    The server and its port are chosen here, in the same transaction as the row.

    Raises:
        Invalid: the health path is not a path.
        NoCapacity: no server has room.
        DeploymentUnderWay: another release of this service is not settled yet.
    """
    known = _find_known(idempotency_key)
    if known is not None:
        return known
    if request.kind == ServiceKind.WEB and not request.health_path.startswith("/"):
        raise Invalid("The health path must begin with a slash.", details={"health": request.health_path})
    try:
        with transaction.atomic():
            deployment = _create(idempotency_key, request)
    except (allocation.NoCapacity, DeploymentUnderWay, IntegrityError) as error:
        # Perhaps our own twin was first while we waited for the servers' rows.
        known = _find_known(idempotency_key)
        if known is not None:
            return known
        if isinstance(error, IntegrityError):
            raise DeploymentUnderWay() from error
        raise
    enqueue(tasks.reconcile_deployment, deployment_id=str(deployment.pk))
    return deployment.pk


def _create(idempotency_key: str, request: DeploymentRequest) -> ServiceDeployment:
    server = allocation.choose_server()
    if _find_coming(request) is not None:
        raise DeploymentUnderWay()
    deployment = ServiceDeployment.objects.create(
        idempotency_key=idempotency_key,
        server=server,
        owner_id=request.owner_id,
        project_id=request.project_id,
        project_slug=request.project_slug,
        task_id=request.task_id,
        service_name=request.service_name,
        commit_sha=request.commit_sha,
        bundle_name=request.bundle_name,
        bundle_sha256=request.bundle_sha256,
        setup_command=request.setup_command,
        run_command=request.run_command,
        health_path=request.health_path,
        data_directory=request.data_directory,
        kind=request.kind,
        environment=releases.stored_environment(request.environment, request.secrets),
        token_variable=request.token_variable,
        deadline_at=timezone.now() + timedelta(seconds=settings.INFRA_DEPLOYMENT_DEADLINE_SECONDS),
        **request.facts.as_fields(),
    )
    if request.kind == ServiceKind.WEB:
        entrances.open_for(deployment)
        allocation.allocate(deployment, server=server)
    return deployment


def _find_known(idempotency_key: str) -> UUID | None:
    return (
        ServiceDeployment.objects.filter(idempotency_key=idempotency_key).values_list("pk", flat=True).first()
    )


def _find_coming(request: DeploymentRequest) -> ServiceDeployment | None:
    rows = ServiceDeployment.objects.filter(project_id=request.project_id, service_name=request.service_name)
    return rows.filter(status__in=COMING).first()


def cancel_deployment(*, deployment_id: UUID) -> None:
    """Ask that a release which is not live yet never becomes so; a settled one is left alone."""
    if ServiceDeployment.try_transition(deployment_id, to=DeploymentStatus.CANCELING):
        enqueue(tasks.reconcile_deployment, deployment_id=str(deployment_id))


@transaction.atomic
def stop_deployment(*, deployment_id: UUID) -> None:
    """Ask that a live release stops.

    Raises:
        IllegalTransition: it is not live.
        NotFound: there is no such deployment.
        DeploymentUnderWay: its successor is about to take its place on its server.
        StopUnsupported: a workflow has deployed it.
    """
    row = get_deployment(deployment_id=deployment_id)
    if row.target == DeploymentTarget.WORKFLOW:
        raise StopUnsupported()
    if row.target == DeploymentTarget.SERVER:
        # As whoever asks for a release does: neither may begin while the other looks.
        Server.objects.select_for_update().get(pk=row.server_id)
        if ServiceDeployment.objects.filter(project_id=row.project_id, status__in=COMING).exists():
            raise DeploymentUnderWay()
    ServiceDeployment.transition(deployment_id, to=DeploymentStatus.STOPPING)
    enqueue(tasks.reconcile_deployment, deployment_id=str(deployment_id))


def ensure_local_server() -> Server:
    """Create the row of this machine if it is missing; an operator's edits are kept."""
    server, _ = Server.objects.get_or_create(
        name="local",
        defaults={
            "kind": ServerKind.LOCAL,
            "provider": ServerProvider.LOCAL,
            "host": settings.INFRA_LOCAL_HOST,
            "status": ServerStatus.ACTIVE,
            "port_range_start": settings.INFRA_PORT_RANGE_START,
            "port_range_end": settings.INFRA_PORT_RANGE_END,
        },
    )
    return server
