"""What may be asked of workers: rows are written and work is enqueued, nothing else happens here."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict
from apps.workers import host_access, instructions, product_owner, selectors, tasks
from apps.workers.agents_choice import choose_agent
from apps.workers.credentials import credentials_of
from apps.workers.limits import REPORT_SECONDS
from apps.workers.models import (
    UNFINISHED,
    Attachment,
    DepartedOwner,
    Turn,
    TurnStatus,
    Verification,
    VerificationStatus,
    Worker,
    WorkerStatus,
)
from apps.workers.requests import RequestInvalid, VerificationRequest, WorkerRequest
from worker_image.contract import MAX_PROMPT_CHARS, MAX_TIMEOUT_SECONDS, AuthMode, WorkerType

_TAKES_TURNS = frozenset(
    {
        WorkerStatus.PENDING,
        WorkerStatus.BUILDING,
        WorkerStatus.STARTING,
        WorkerStatus.RUNNING,
        WorkerStatus.PAUSED,
    }
)


class WorkerGone(Conflict):
    """The worker takes no more turns."""

    code = "worker_gone"


class WorkerBusy(Conflict):
    """The worker has not finished its present turn."""

    code = "worker_busy"


@transaction.atomic
def request_worker(*, idempotency_key: str, request: WorkerRequest) -> UUID:
    """Ask for a worker; asking twice with one key is asking once, and a person has one Product Owner.

    Raises:
        InstructionsTooLong: with what its agent's configuration adds, its orders are over the limit.
        UnknownCapability, DockerSocketRefused, HostSessionRefused: it asks for what there is not for it.
        ProductOwnerLeaving: the person's present Product Owner is just ending.

    """
    known = Worker.objects.filter(idempotency_key=idempotency_key).first()
    if known is None and request.worker_type == WorkerType.PO:
        known = product_owner.find_live(request.owner_id)
    if known is not None:
        return known.pk
    fields = _fields_of(uuid4(), request)
    try:
        with transaction.atomic():
            worker, is_new = Worker.objects.get_or_create(idempotency_key=idempotency_key, defaults=fields)
    except IntegrityError:
        # Two asked for one person's Product Owner at once.
        live = product_owner.find_live(request.owner_id)
        if request.worker_type != WorkerType.PO or live is None:
            raise
        return live.pk
    if is_new:
        enqueue(tasks.reconcile_worker, worker_id=str(worker.pk))
    return worker.pk


def _fields_of(worker_id: UUID, request: WorkerRequest) -> dict[str, Any]:
    agent = choose_agent(request.agent_type)
    orders = "\n\n".join(filter(None, [agent.system_prompt, request.instructions]))
    instructions.check(orders)
    credentials = credentials_of(worker_id)
    is_po = request.worker_type == WorkerType.PO
    return {
        "id": worker_id,
        "worker_type": request.worker_type,
        "agent_type": agent.agent_type,
        "owner_id": request.owner_id,
        "project_id": request.project_id,
        "task_id": request.task_id,
        "run_id": request.run_id,
        "allowed_commands": list(request.commands),
        "config": {
            "auth_mode": agent.auth_mode,
            "model": agent.model,
            "instructions": orders,
            "env_vars": dict(request.env_vars),
            # As they are now: a container is described the same however often.
            "memory_mb": agent.memory_mb or settings.WORKERS_MEMORY_MB,
            "cpus": agent.cpus or settings.WORKERS_CPUS,
            "capabilities": host_access.permitted(
                request.capabilities, allow_docker_socket=settings.WORKERS_ALLOW_DOCKER_SOCKET
            ),
            **_host_session(request),
        },
        "session_id": product_owner.session_for(request.owner_id, agent.agent_type) if is_po else "",
        "workspace_name": request.workspace_name,
        "workspace_sha256": request.workspace_sha256,
        "base_branch": request.base_branch,
        "base_sha": request.base_sha,
        "branch": request.branch,
        "token_sha256": credentials.token_sha256,
        "password_sha256": credentials.password_sha256,
        "deadline_at": timezone.now() + timedelta(seconds=settings.WORKERS_QUEUE_DEADLINE_SECONDS),
    }


def _host_session(request: WorkerRequest) -> dict[str, str]:
    if request.host_session_dir is None:
        return {}
    directory = host_access.session_directory(request.host_session_dir, settings.WORKERS_HOST_SESSION_DIRS)
    return {"auth_mode": str(AuthMode.HOST_SESSION), "host_session_dir": directory}


@transaction.atomic
def send_turn(*, idempotency_key: str, worker_id: UUID, prompt: str, timeout_seconds: int) -> UUID:
    """Give a worker its next prompt; asking twice with one key is asking once.

    Raises:
        RequestInvalid: the timeout is out of bounds, or the prompt.
        WorkerNotFound: there is no such worker.
        WorkerGone: the worker has ended, or was told to.
        WorkerBusy: its present turn is not finished.

    """
    known = Turn.objects.filter(idempotency_key=idempotency_key).first()
    if known is not None:
        return known.pk
    _check_turn(prompt, timeout_seconds)
    worker = Worker.objects.select_for_update().filter(pk=worker_id).first()
    if worker is None:
        raise selectors.WorkerNotFound(details={"worker_id": str(worker_id)})
    # Whoever waited for the lock may have waited for this very turn.
    known = Turn.objects.filter(idempotency_key=idempotency_key).first()
    if known is not None:
        return known.pk
    if worker.status not in _TAKES_TURNS or worker.released_at or worker.stop_failure:
        raise WorkerGone(details={"status": worker.status})
    if worker.turns.filter(status__in=[TurnStatus.PENDING, TurnStatus.RUNNING]).exists():
        raise WorkerBusy()
    turn = Turn.objects.create(
        idempotency_key=idempotency_key,
        worker=worker,
        number=(worker.turns.aggregate(highest=Max("number"))["highest"] or 0) + 1,
        task_id=worker.task_id,
        project_id=worker.project_id,
        prompt=prompt,
        timeout_seconds=timeout_seconds,
        deadline_at=timezone.now() + timedelta(seconds=timeout_seconds + REPORT_SECONDS),
    )
    if worker.status == WorkerStatus.PAUSED:
        enqueue(tasks.reconcile_worker, worker_id=str(worker.pk))
    enqueue(tasks.reconcile_turn, turn_id=str(turn.pk))
    return turn.pk


def _check_turn(prompt: str, timeout_seconds: int) -> None:
    if not prompt or "\0" in prompt:
        raise RequestInvalid("the prompt is empty or unprintable", details={"prompt": len(prompt)})
    if len(prompt) > MAX_PROMPT_CHARS:
        raise RequestInvalid("the prompt is too long", details={"prompt": len(prompt)})
    if not 0 < timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise RequestInvalid("the timeout is out of bounds", details={"timeout_seconds": timeout_seconds})


@transaction.atomic
def release_worker(*, worker_id: UUID) -> None:
    """Say that a worker's work is done, so that it may end cleanly; repeating it changes nothing.

    Raises:
        WorkerNotFound: there is no such worker.

    """
    selectors.get_worker(worker_id)
    Worker.objects.filter(pk=worker_id, released_at=None).update(released_at=timezone.now())
    enqueue(tasks.reconcile_worker, worker_id=str(worker_id))


@transaction.atomic
def cancel_worker(*, worker_id: UUID) -> None:
    """Ask for a worker's end; one that has ended stays as it is.

    Raises:
        WorkerNotFound: there is no such worker.

    """
    selectors.get_worker(worker_id)
    if Worker.try_transition(worker_id, to=WorkerStatus.CANCELING):
        enqueue(tasks.reconcile_worker, worker_id=str(worker_id))


@transaction.atomic
def forget_person(*, owner_id: int) -> None:
    """End the Product Owner of a person who is being deleted, forget its files, note its home."""
    Attachment.objects.filter(owner_id=owner_id).delete()
    owned = Worker.objects.filter(worker_type=WorkerType.PO, owner_id=owner_id)
    if not owned.exists():
        return
    DepartedOwner.objects.get_or_create(owner_id=owner_id)
    for worker_id in owned.filter(status__in=UNFINISHED).values_list("pk", flat=True):
        cancel_worker(worker_id=worker_id)


@transaction.atomic
def request_verification(*, idempotency_key: str, request: VerificationRequest) -> UUID:
    """Ask for the checks of a commit; asking twice with one key is asking once."""
    verification, is_new = Verification.objects.get_or_create(
        idempotency_key=idempotency_key,
        defaults={
            "project_id": request.project_id,
            "task_id": request.task_id,
            "bundle_name": request.bundle_name,
            "bundle_sha256": request.bundle_sha256,
            "base_sha": request.base_sha,
            "head_sha": request.head_sha,
            "commands": dict(request.commands),
            "protected": list(request.protected),
            "allow_removed_tests": request.allow_removed_tests,
            "deadline_at": timezone.now() + timedelta(seconds=settings.WORKERS_VERIFICATION_DEADLINE_SECONDS),
        },
    )
    if is_new:
        enqueue(tasks.reconcile_verification, verification_id=str(verification.pk))
    return verification.pk


@transaction.atomic
def cancel_verification(*, verification_id: UUID) -> None:
    """Ask for a verification's end; one that has ended stays as it is.

    Raises:
        VerificationNotFound: there is none.

    """
    selectors.get_verification(verification_id)
    if Verification.try_transition(verification_id, to=VerificationStatus.CANCELING):
        enqueue(tasks.reconcile_verification, verification_id=str(verification_id))
