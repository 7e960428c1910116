"""One piece of work asked of a project, and its timeline."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.projects.models.project import Project


class TaskType(models.TextChoices):
    """Which flow does the work."""

    ENGINEERING = "engineering", _("Engineering")
    DEPLOY = "deploy", _("Deploy")


class TaskStatus(models.TextChoices):
    """Where a task is in its life."""

    PENDING = "pending", _("Queued")
    RUNNING = "running", _("Running")
    CANCELING = "canceling", _("Canceling")
    SUCCEEDED = "succeeded", _("Completed")
    FAILED = "failed", _("Failed")  # the work said no
    CRASHED = "crashed", _("Crashed")  # the platform broke
    CANCELED = "canceled", _("Canceled")


class Task(Lifecycle):
    """What was asked, by whom, and how it ended."""

    TRANSITIONS: ClassVar = transitions(
        {
            TaskStatus.PENDING: [TaskStatus.RUNNING, TaskStatus.CANCELED],
            TaskStatus.RUNNING: [
                TaskStatus.SUCCEEDED,
                TaskStatus.FAILED,
                TaskStatus.CRASHED,
                TaskStatus.CANCELING,
            ],
            TaskStatus.CANCELING: [TaskStatus.CANCELED, TaskStatus.CRASHED],
            TaskStatus.SUCCEEDED: [],
            TaskStatus.FAILED: [],
            TaskStatus.CRASHED: [],
            TaskStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="tasks")
    type = models.CharField(max_length=20, choices=TaskType.choices)
    spec = models.TextField(blank=True, max_length=20_000)
    status = models.CharField(max_length=20, choices=TaskStatus.choices, default=TaskStatus.PENDING)
    deploy_after = models.BooleanField(
        default=False, help_text="Deploy the merged result without being asked again."
    )
    allow_protected = models.BooleanField(
        default=False, help_text="The agent may change the files that the project's manifest protects."
    )
    follows = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="followers",
        help_text="The task whose result this deploys, or whose failed deployment this mends.",
    )
    rollback_to = models.UUIDField(
        null=True, blank=True, help_text="The earlier release that this deployment returns to."
    )
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="retries"
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="tasks"
    )
    result = models.JSONField(null=True, blank=True)
    failure = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(TaskStatus, name="task_status_known"),
            models.UniqueConstraint(
                fields=["follows"], name="task_one_follower", condition=models.Q(retry_of=None)
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project", "-created_at"], name="task_by_project")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class TaskEventKind(models.TextChoices):
    """The closed list of what a person may see happen to a task."""

    ACKNOWLEDGED = "acknowledged"
    SCAFFOLDED = "scaffolded"
    WORKER_REQUESTED = "worker_requested"
    WORKER_READY = "worker_ready"
    TURN_STARTED = "turn_started"
    AGENT_PROGRESS = "agent_progress"
    TURN_FINISHED = "turn_finished"
    CHANGE_ACCEPTED = "change_accepted"
    CHECKS_STARTED = "checks_started"
    CHECKS_PASSED = "checks_passed"
    CHECKS_FAILED = "checks_failed"
    PULL_REQUEST_OPENED = "pull_request_opened"
    HOST_CHECKS_STARTED = "host_checks_started"
    HOST_CHECKS_PASSED = "host_checks_passed"
    HOST_CHECKS_FAILED = "host_checks_failed"
    REBASED = "rebased"
    REWORK = "rework"
    NEW_ATTEMPT = "new_attempt"
    MERGED = "merged"
    ROLLBACK = "rollback"
    CAPACITY_AWAITED = "capacity_awaited"
    PORT_ALLOCATED = "port_allocated"
    WORKFLOW_STARTED = "workflow_started"
    WORKFLOW_FINISHED = "workflow_finished"
    WORKFLOW_FAILED = "workflow_failed"
    INSTALLING = "installing"
    STARTING = "starting"
    SMOKE_PASSED = "smoke_passed"
    DEPLOYED = "deployed"
    RETURNED = "returned"
    QUESTION_ASKED = "question_asked"
    QUESTION_ANSWERED = "question_answered"
    CANCEL_REQUESTED = "cancel_requested"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELED = "canceled"


class TaskEvent(models.Model):
    """One line of a task's timeline; written once by ``apps.projects.timeline``, never changed."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField(help_text="Position in this task's timeline, without gaps.")
    key = models.CharField(max_length=120, help_text="Derived name: recording the same fact twice is once.")
    kind = models.CharField(max_length=30, choices=TaskEventKind.choices)
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField(help_text="When it happened, as far as known.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task", "seq"], name="task_event_seq"),
            models.UniqueConstraint(fields=["task", "key"], name="task_event_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=sorted(TaskEventKind.values)), name="task_event_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.seq} {self.kind}"
