"""One agent at work in one container (or, with the process runtime, one process tree)."""

import uuid
from typing import ClassVar, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.workers.models.agent_config import AGENT_CHOICES
from apps.workers.models.liveness import Ground, Verdict
from worker_image.contract import AgentType, WorkerType


class WorkerStatus(models.TextChoices):
    """Where a worker is in its life."""

    PENDING = "pending", _("Pending")  # waits for a place
    BUILDING = "building", _("Building its image")
    STARTING = "starting", _("Starting")  # the container is being made or has not said a word yet
    RUNNING = "running", _("Running")  # its wrapper has reported
    PAUSED = "paused", _("Paused")
    CANCELING = "canceling", _("Canceling")
    SUCCEEDED = "succeeded", _("Succeeded")  # released after its work, ended cleanly
    FAILED = "failed", _("Failed")  # it cannot work: its agent or its workspace said no
    CRASHED = "crashed", _("Crashed")  # the platform or the container broke
    CANCELED = "canceled", _("Canceled")


_ENDS = [WorkerStatus.SUCCEEDED, WorkerStatus.FAILED, WorkerStatus.CRASHED, WorkerStatus.CANCELING]


#: Statuses of a worker that has not ended.
UNFINISHED: Final = frozenset(
    {
        WorkerStatus.PENDING,
        WorkerStatus.BUILDING,
        WorkerStatus.STARTING,
        WorkerStatus.RUNNING,
        WorkerStatus.PAUSED,
        WorkerStatus.CANCELING,
    }
)


class Worker(Lifecycle):
    """The desired container, what was observed of it, and how it ended.

    The container's name, its token, its channel user and password derive from
    ``id``, so every step may be repeated and adopts what an earlier try made.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            WorkerStatus.PENDING: [WorkerStatus.BUILDING, WorkerStatus.STARTING, *_ENDS],
            WorkerStatus.BUILDING: [WorkerStatus.STARTING, *_ENDS],
            WorkerStatus.STARTING: [WorkerStatus.RUNNING, *_ENDS],
            WorkerStatus.RUNNING: [WorkerStatus.PAUSED, *_ENDS],
            WorkerStatus.PAUSED: [WorkerStatus.RUNNING, *_ENDS],
            # It may prove to have ended before it was asked to.
            WorkerStatus.CANCELING: [WorkerStatus.CANCELED, WorkerStatus.FAILED, WorkerStatus.CRASHED],
            WorkerStatus.SUCCEEDED: [],
            WorkerStatus.FAILED: [],
            WorkerStatus.CRASHED: [],
            WorkerStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    worker_type = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in WorkerType])
    agent_type = models.CharField(max_length=20, choices=AGENT_CHOICES)
    status = models.CharField(max_length=20, choices=WorkerStatus.choices, default=WorkerStatus.PENDING)
    owner_id = models.BigIntegerField(help_text="The person this worker acts for.")
    project_id = models.UUIDField(null=True, blank=True)
    task_id = models.UUIDField(null=True, blank=True)
    run_id = models.UUIDField(null=True, blank=True)
    allowed_commands = models.JSONField(default=list)
    config = models.JSONField(default=dict, help_text="WorkerConfig without its secrets.")
    image = models.ForeignKey(
        "workers.WorkerImage",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="workers",
        help_text="What its container starts from; none where workers are processes.",
    )
    image_seconds = models.FloatField(
        null=True, blank=True, help_text="How long it waited for its image; empty if it did not."
    )
    # What it works on.
    workspace_name = models.CharField(max_length=200, blank=True, help_text="Bundle of the base branch.")
    workspace_sha256 = models.CharField(max_length=64, blank=True)
    base_branch = models.CharField(max_length=100, blank=True)
    base_sha = models.CharField(max_length=64, blank=True)
    branch = models.CharField(max_length=120, blank=True)
    # Who it is to us.
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    password_sha256 = models.CharField(max_length=64, editable=False)
    session_id = models.CharField(max_length=64, blank=True)
    # What was observed.
    boot = models.CharField(max_length=64, blank=True, help_text="Nonce of the wrapper's latest start.")
    heartbeat_at = models.DateTimeField(null=True, blank=True, help_text="Last word from the wrapper.")
    heartbeat = models.JSONField(null=True, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True, help_text="Last look at the container.")
    paused_at = models.DateTimeField(null=True, blank=True, help_text="It has stood still since then.")
    trouble = models.JSONField(
        null=True, blank=True, help_text="Why the runtime could not start it at the last try."
    )
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Its container was seen to have ended.")
    work_lost_since = models.DateTimeField(
        null=True, blank=True, help_text="Edits after this moment were not saved before it was removed."
    )
    # How alive it was judged to be: `liveness` judges, `liveness_rows` writes.
    verdict = models.CharField(max_length=20, choices=Verdict.choices, default=Verdict.STARTING)
    verdict_ground = models.CharField(max_length=30, choices=Ground.choices, default=Ground.NO_PLACE)
    verdict_detail = models.CharField(max_length=80, blank=True, help_text="What the ground is about.")
    verdict_since = models.DateTimeField(default=timezone.now, help_text="Since when it is this verdict.")
    # Who decided that it should end, and how it did.
    released_at = models.DateTimeField(null=True, blank=True, help_text="Its work is done; it may go.")
    stop_asked_at = models.DateTimeField(null=True, blank=True, help_text="It was asked to stop.")
    stop_failure = models.JSONField(null=True, blank=True, help_text="Why we decided to end it.")
    drained_at = models.DateTimeField(null=True, blank=True, help_text="Its output was read to the end.")
    removed_at = models.DateTimeField(null=True, blank=True, help_text="Its container was seen to be gone.")
    exit_code = models.IntegerField(null=True, blank=True)
    oom_killed = models.BooleanField(null=True, blank=True)
    image_digest = models.CharField(
        max_length=100, blank=True, help_text="Identity of the image that its container was made from."
    )
    log_tail = models.TextField(blank=True)
    failure = models.JSONField(null=True, blank=True)
    deadline_at = models.DateTimeField(help_text="Of the present phase.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(WorkerStatus, name="worker_status_known"),
            models.CheckConstraint(
                condition=Q(agent_type__in=sorted(agent.value for agent in AgentType)),
                name="worker_agent_known",
            ),
            models.CheckConstraint(
                condition=Q(worker_type__in=sorted(kind.value for kind in WorkerType)),
                name="worker_type_known",
            ),
            models.UniqueConstraint(
                fields=["owner_id"],
                condition=Q(worker_type=str(WorkerType.PO), status__in=sorted(map(str, UNFINISHED))),
                name="worker_one_po_per_owner",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["status", "created_at"], name="worker_by_status")]

    def __str__(self) -> str:
        return f"{self.agent_type} {self.id}"

    @property
    def container_name(self) -> str:
        """The name under which the runtime knows it."""
        return f"worker-{self.id}"


#: Statuses in which a container may exist.
ACTIVE = UNFINISHED - {WorkerStatus.PENDING}
