"""Executions of flows: runs, their steps, and questions to people."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.lifecycle import Lifecycle, status_check, transitions
from apps.projects.models import Task


class RunStatus(models.TextChoices):
    """Where a run is in its life."""

    PENDING = "pending", _("Pending")
    RUNNING = "running", _("Running")  # a process drives it at this moment
    WAITING = "waiting", _("Waiting")  # parked until ``waiting_for`` is final
    CANCELING = "canceling", _("Canceling")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    CRASHED = "crashed", _("Crashed")
    CANCELED = "canceled", _("Canceled")


UNFINISHED = frozenset({RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.CANCELING})


class Run(Lifecycle):
    """One execution of a flow for a task; its id is LangGraph's thread id."""

    TRANSITIONS: ClassVar = transitions(
        {
            RunStatus.PENDING: [RunStatus.RUNNING, RunStatus.CANCELING, RunStatus.CRASHED],
            # running → running: the holder of the run's lock takes over after its predecessor died.
            RunStatus.RUNNING: [
                RunStatus.RUNNING,
                RunStatus.WAITING,
                RunStatus.SUCCEEDED,
                RunStatus.FAILED,
                RunStatus.CRASHED,
                RunStatus.CANCELING,
            ],
            RunStatus.WAITING: [RunStatus.RUNNING, RunStatus.CANCELING, RunStatus.CRASHED],
            RunStatus.CANCELING: [RunStatus.CANCELED, RunStatus.CRASHED],
            RunStatus.SUCCEEDED: [],
            RunStatus.FAILED: [],
            RunStatus.CRASHED: [],
            RunStatus.CANCELED: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="runs")
    flow = models.CharField(max_length=20)
    flow_version = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=20, choices=RunStatus.choices, default=RunStatus.PENDING)
    waiting_for = models.CharField(
        max_length=80, blank=True, db_index=True, help_text="kind:id of the row it waits for."
    )
    outcome = models.JSONField(null=True, blank=True, help_text="What the flow decided, before it is final.")
    failure = models.JSONField(null=True, blank=True)
    worker_attempts = models.PositiveSmallIntegerField(default=0)
    reworks = models.PositiveSmallIntegerField(default=0)
    drives = models.PositiveIntegerField(default=0, help_text="How often a process drove it.")
    troubles = models.PositiveSmallIntegerField(
        default=0, help_text="Drives in a row that were begun and did not reach a wait or the end."
    )
    progress_id = models.BigIntegerField(default=0, help_text="The agent's last line that was copied.")
    deadline_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    forgotten_at = models.DateTimeField(
        null=True, blank=True, help_text="When the flow engine's private memory of it was deleted."
    )

    class Meta:
        constraints: ClassVar = [
            status_check(RunStatus, name="run_status_known"),
            models.UniqueConstraint(
                fields=["task"],
                condition=Q(status__in=["pending", "running", "waiting", "canceling"]),
                name="run_one_unfinished_per_task",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.flow} {self.id}"


class Step(models.Model):
    """One visit of a node, from the end of the visit before it; history, written once."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    seq = models.PositiveIntegerField()
    node = models.CharField(max_length=60)
    waiting_for = models.CharField(max_length=80, blank=True, help_text="What the visit waited for.")
    data = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["run", "seq"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["run", "seq"], name="step_seq_per_run")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.seq} {self.node}"


class QuestionStatus(models.TextChoices):
    """Whether a person has answered."""

    OPEN = "open", _("Open")
    ANSWERED = "answered", _("Answered")
    EXPIRED = "expired", _("Expired")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class Question(Lifecycle):
    """Something only a person can tell.

    A run asks and waits for the answer like for a machine; or a person's Product Owner asks, and the answer
    is what it hears next.
    """

    TRANSITIONS: ClassVar = transitions(
        {
            QuestionStatus.OPEN: [
                QuestionStatus.ANSWERED,
                QuestionStatus.EXPIRED,
                QuestionStatus.WITHDRAWN,
            ],
            QuestionStatus.ANSWERED: [],
            QuestionStatus.EXPIRED: [],
            QuestionStatus.WITHDRAWN: [],
        }
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True, editable=False)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.CASCADE, related_name="questions")
    worker_id = models.UUIDField(null=True, blank=True, help_text="The Product Owner that asks.")
    owner_id = models.BigIntegerField(
        null=True, blank=True, help_text="The person whom a Product Owner asks; a run asks its project's."
    )
    status = models.CharField(max_length=20, choices=QuestionStatus.choices, default=QuestionStatus.OPEN)
    text = models.TextField()
    texts = models.JSONField(default=dict, blank=True, help_text="The same in the languages we speak.")
    options = models.JSONField(default=list, help_text="Empty: any text is an answer.")
    secret_key = models.CharField(max_length=100, blank=True, help_text="The answer is this project secret.")
    answer = models.TextField(blank=True, help_text="Never holds a secret.")
    deadline_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            status_check(QuestionStatus, name="question_status_known"),
            models.CheckConstraint(
                condition=Q(run__isnull=False, worker_id=None, owner_id=None)
                | Q(run=None, worker_id__isnull=False, owner_id__isnull=False, secret_key=""),
                name="question_of_run_or_worker",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["owner_id", "-created_at"], name="question_by_person"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
