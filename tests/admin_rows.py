"""Rows for the tests of the admin: one of every model, with words that no page may take for markup."""

import json
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from apps.bot.models import Chat, ChatFile, ChatMessage, Delivery, ProcessedUpdate, Trouble
from apps.documents.models import DocumentIndex
from apps.failures import Failure, FailureKind
from apps.graph.models import Question, Run, RunStatus, Step
from apps.hooks.services import create_webhook, ping
from apps.infra.models import DeploymentStatus, Incident, PortAllocation, Provisioning, ServiceDeployment
from apps.periodic.models import PeriodicJob
from apps.projects import timeline
from apps.projects.models import (
    Dispatch,
    HostedRepository,
    MergeRequest,
    ProjectStatus,
    Task,
    TaskEventKind,
    TaskStatus,
)
from apps.projects.services import invite
from apps.roles import Role
from apps.workers.models import (
    AgentConfig,
    DeadLetter,
    Snapshot,
    Turn,
    Verification,
    VerificationStatus,
    Worker,
    WorkerImage,
)
from tests.factories import (
    make_deployment,
    make_document,
    make_merge_request,
    make_project,
    make_run,
    make_secret,
    make_sha,
    make_task,
    make_turn,
    make_user,
    make_verification,
    make_worker,
)

MARKUP = "<script>alert(1)</script>"
SECRET_VALUE = "s3cret-value-of-the-project"
ENVIRONMENT_VALUE = "s3cret-value-in-the-environment"
WORKER_VALUE = "s3cret-value-of-the-worker"
K = TaskEventKind


def failure() -> dict[str, Any]:
    """A failure record with markup in its message."""
    return Failure(
        stage="turn", kind=FailureKind.PRODUCT, code="no_commit", message=f"No commit {MARKUP}"
    ).as_json()


def make_dead_letter(**fields: Any) -> DeadLetter:
    """An entry that nobody could read."""
    defaults = {
        "stream": f"worker:{secrets.token_hex(4)}:output",
        "entry_id": "1700000000000-0",
        "payload": json.dumps({"data": MARKUP}),
        "reason": f"not JSON {MARKUP}",
    }
    return DeadLetter.objects.create(**{**defaults, **fields})


def make_image(**fields: Any) -> WorkerImage:
    """An image that could not be built."""
    digits = secrets.token_hex(6)
    defaults = {
        "hash": digits,
        "tag": f"worker-test:{digits}",
        "agent_type": "claude",
        "capabilities": ["git"],
        "status": "failed",
        "failed_command": f"RUN npm install {MARKUP}",
        "log_tail": f"npm error {MARKUP}",
        "last_used_at": timezone.now(),
    }
    return WorkerImage.objects.create(**{**defaults, **fields})


def make_question(**fields: Any) -> Question:
    """A question that waits for an answer."""
    run = fields.pop("run", None) or make_run()
    defaults = {
        "idempotency_key": f"question-{secrets.token_hex(6)}",
        "text": f"A value for TOKEN? {MARKUP}",
        "deadline_at": timezone.now() + timedelta(hours=1),
    }
    return Question.objects.create(run=run, **{**defaults, **fields})


def make_periodic_task(**fields: Any) -> PeriodicTask:
    """An entry that beat starts every five seconds."""
    interval, _ = IntervalSchedule.objects.get_or_create(every=5, period=IntervalSchedule.SECONDS)
    defaults = {"name": f"sweep {secrets.token_hex(4)}", "task": "workers.reconcile_worker"}
    return PeriodicTask.objects.create(interval=interval, **{**defaults, **fields})


class Story:
    """A task that failed its checks once, was repaired, merged and deployed."""

    def __init__(self) -> None:
        self.now = timezone.now().replace(microsecond=0)
        self.project = make_project(
            status=ProjectStatus.ACTIVE, name=f"Books {MARKUP}", description=MARKUP, failure=failure()
        )
        self.task: Task = make_task(
            project=self.project,
            spec=f"an inventory of books {MARKUP}",
            status=TaskStatus.SUCCEEDED,
            deploy_after=True,
            started_at=self.now,
            finished_at=self.now + timedelta(seconds=30),
            result={"commit_sha": make_sha(), "words": MARKUP},
            failure=failure(),
        )
        self.run: Run = make_run(task=self.task, status=RunStatus.SUCCEEDED, failure=failure())
        self.worker: Worker = self._worker()
        self.turn: Turn = self._turn()
        self.change: MergeRequest = make_merge_request(
            task=self.task,
            idempotency_key=self._key("change-1.0"),
            status="merged",
            title=f"Add books {MARKUP}",
            merge_sha=make_sha(),
            report={"words": MARKUP},
            failure=failure(),
        )
        self.verification: Verification = self._verification()
        self.follower: Task = make_task(
            project=self.project, type="deploy", spec="", follows=self.task, status=TaskStatus.SUCCEEDED
        )
        self.deployment: ServiceDeployment = self._deployment()
        self.dispatch = self._dispatch()
        self.question = make_question(run=self.run)
        self.letter = make_dead_letter(worker_id=self.worker.pk)
        self.image = make_image()
        self.config = AgentConfig.objects.create(
            name=f"default {secrets.token_hex(3)}", agent_type="rehearsal"
        )
        self.secret = make_secret(project=self.project, key="API_KEY", value=SECRET_VALUE)
        self.invitation, _code = invite(created_by_id=self.project.owner.pk, role=Role.MEMBER)
        self.chat = self._chat()
        self.webhook, _secret = create_webhook(
            owner_id=self.project.owner.pk, url="https://hooks.example/in", events=["task.failed"]
        )
        self.delivery = ping(webhook_id=self.webhook.pk)
        self.periodic = make_periodic_task()
        self.index = DocumentIndex.objects.create(project=self.project, problem=MARKUP)
        self.document = make_document(project=self.project, title=MARKUP, text=MARKUP, summary=MARKUP)
        self._steps()
        self._events()

    def rows(self) -> list[Model]:
        """One row of every model that has a detail page."""
        return [
            self.project,
            self.project.owner,
            self.task,
            self.follower,
            self.run,
            self.question,
            self.change,
            self.worker,
            self.turn,
            self.verification,
            self.letter,
            self.image,
            self.config,
            self.deployment,
            self.dispatch,
            self.deployment.server,
            self._set_up(),
            self.secret,
            self.invitation,
            self.webhook,
            self.delivery,
            self.document,
            self.index,
            *self.chat,
            LogEntry.objects.create(
                user=self.project.owner, object_repr=f"row {MARKUP}", action_flag=1, change_message=MARKUP
            ),
            self.periodic,
            self.periodic.interval,
            Incident.objects.create(
                key=f"disk_full:{MARKUP}", kind="disk_full", message=MARKUP, details={"words": MARKUP}
            ),
            HostedRepository.objects.create(
                forge="github", repository_id=self._key("repository"), name=MARKUP, url="https://forge.example/x"
            ),
            PeriodicJob.objects.create(
                name=f"job {MARKUP}",
                last_started_at=self.now,
                last_outcome="partly",
                last_counts={"things": 3},
                last_errors=[{"item": MARKUP, "error": MARKUP}],
            ),
            CrontabSchedule.objects.create(hour="4"),
            ClockedSchedule.objects.create(clocked_time=self.now),
            SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1),
        ]

    def _chat(self) -> list[Model]:
        number = secrets.randbelow(10**9) + 1
        owner = self.project.owner
        chat = Chat.objects.create(telegram_id=number, user=owner, status="active", name=f"Ada {MARKUP}")
        message = ChatMessage.objects.create(
            idempotency_key=f"update:{number}", chat=chat, user=owner, text=MARKUP, failure=failure()
        )
        ChatFile.objects.create(message=message, kind="photo", file_id="1", file_name=MARKUP, size_bytes=9)
        owed = Delivery.objects.create(
            chat=chat,
            kind="text",
            idempotency_key=f"text:{number}",
            status="failed",
            payload={"text": MARKUP},
            failure=failure(),
            deadline_at=self.now,
        )
        trouble = Trouble.objects.create(
            key=f"delivery:{number}", code="lost", message=MARKUP, chat=chat, delivery=owed, last_at=self.now
        )
        update = ProcessedUpdate.objects.create(update_id=number, attempts=3, failure={"type": MARKUP})
        return [chat, message, owed, trouble, update]

    def _key(self, effect: str) -> str:
        return f"run-{self.run.pk}-{effect}"

    def _worker(self) -> Worker:
        worker = make_worker(
            idempotency_key=self._key("worker-1"),
            task_id=self.task.pk,
            run_id=self.run.pk,
            project_id=self.project.pk,
            heartbeat={"phase": MARKUP, "children": 2},
            config={"instructions": MARKUP, "env_vars": {"TOKEN": WORKER_VALUE}},
            log_tail=f"line one\nline two {MARKUP}",
            failure=failure(),
        )
        Snapshot.objects.create(
            worker=worker,
            reason="result",
            branch=worker.branch,
            base_sha=worker.base_sha,
            head_sha=make_sha(),
            name="snapshots/1.bundle",
            sha256=secrets.token_hex(32),
            size_bytes=12_345,
        )
        return worker

    def _turn(self) -> Turn:
        return make_turn(
            worker=self.worker,
            idempotency_key=self._key("turn-1.0"),
            task_id=self.task.pk,
            project_id=self.project.pk,
            status="succeeded",
            prompt=f"<task>\n{MARKUP}\n</task>",
            summary=MARKUP,
            duration_ms=6_200,
            usage={"input_tokens": None},
            failure=failure(),
        )

    def _verification(self) -> Verification:
        return make_verification(
            idempotency_key=self._key("verification-1.0"),
            task_id=self.task.pk,
            project_id=self.project.pk,
            status=VerificationStatus.SUCCEEDED,
            evidence={"passed": 14, "total": 14, "phases": [{"name": MARKUP, "exit_code": 0}]},
            log_tail=MARKUP,
            failure=failure(),
            started_at=self.now,
            finished_at=self.now + timedelta(seconds=3),
        )

    def _deployment(self) -> ServiceDeployment:
        run = make_run(task=self.follower, status=RunStatus.SUCCEEDED)
        deployment = make_deployment(
            idempotency_key=f"run-{run.pk}-deployment-0",
            status=DeploymentStatus.LIVE,
            task_id=self.follower.pk,
            project_id=self.project.pk,
            project_slug=self.project.slug,
            owner_id=self.project.owner_id,
            evidence={"smoke": {"body": MARKUP}},
            environment=json.dumps({"API_KEY": ENVIRONMENT_VALUE}),
            log_tail=MARKUP,
            failure=failure(),
            live_at=self.now,
        )
        PortAllocation.objects.create(
            server=deployment.server,
            port=21_004,
            project_id=self.project.pk,
            service_name="backend",
            deployment=deployment,
        )
        return deployment

    def _set_up(self) -> Provisioning:
        return Provisioning.objects.create(
            idempotency_key=self._key("provisioning-1"),
            server=self.deployment.server,
            status="failed",
            current_task=MARKUP,
            recap={
                "counts": {"ok": 3, "changed": 1},
                "tasks": [{"name": MARKUP, "outcome": MARKUP}],
                "left_out": [MARKUP],
            },
            failure=failure(),
            log_tail=MARKUP,
        )

    def _dispatch(self) -> Dispatch:
        return Dispatch.objects.create(
            idempotency_key=self._key("dispatch-1"),
            project=self.project,
            task=self.follower,
            deployment_id=self.deployment.pk,
            status="failed",
            workflow="main.yml",
            environment="production",
            ref="main",
            sha=make_sha(),
            inputs={"words": MARKUP},
            access=json.dumps({"DEPLOY_SSH_KEY": SECRET_VALUE}),
            log={"job": MARKUP, "step": "Build", "excerpt": MARKUP},
            failure=failure(),
            deadline_at=self.now + timedelta(minutes=30),
        )

    def _steps(self) -> None:
        waits = ("", f"worker:{self.worker.pk}", f"turn:{self.turn.pk}", "unavailable:forge")
        for seq, waiting_for in enumerate(waits, 1):
            Step.objects.create(
                run=self.run,
                seq=seq,
                node=f"node_{seq}",
                waiting_for=waiting_for,
                data={"words": MARKUP},
                started_at=self.now,
                finished_at=self.now + timedelta(seconds=seq),
            )

    def _events(self) -> None:
        told: list[tuple[Task, str, str, dict[str, Any]]] = [
            (self.task, K.ACKNOWLEDGED, "acknowledged", {}),
            (self.task, K.WORKER_READY, "worker_ready:1", {"agent": "rehearsal"}),
            (self.task, K.AGENT_PROGRESS, "progress:1", {"message": f"Reading {MARKUP}"}),
            (self.task, K.TURN_FINISHED, "turn_finished:1.0", {"sha": make_sha(), "seconds": 6.2}),
            (self.task, K.CHANGE_ACCEPTED, "change_accepted:1.0", {}),
            (self.task, K.CHECKS_PASSED, "checks_passed:1.0", {"passed": 14, "total": 14, "seconds": 3.0}),
            (self.task, K.MERGED, "merged", {"sha": make_sha()}),
            (self.task, K.SUCCEEDED, "end", {}),
            (self.follower, K.ACKNOWLEDGED, "acknowledged", {}),
            (self.follower, K.STARTING, f"starting:{self.deployment.pk}", {}),
            (self.follower, K.DEPLOYED, "deployed:0", {"url": self.deployment.url}),
            (self.follower, K.SUCCEEDED, "end", {}),
        ]
        for second, (task, kind, key, data) in enumerate(told):
            at = self.now + timedelta(seconds=second)
            timeline.record(task_id=task.pk, key=key, kind=kind, data=data, occurred_at=at)


def operator(**fields: Any) -> Any:
    """A person who may do everything."""
    return make_user(role=Role.OWNER, **fields)


def page_of(row: Model, page: str = "change") -> str:
    """The address of a row's page in the admin."""
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/{page}/"


def list_of(model: type[Model]) -> str:
    """The address of a model's list in the admin."""
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
