"""The lower apps' part of a run, played by a test: rows move as their reconcilers would move them."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone

from apps.failures import Failure, FailureKind
from apps.graph import executor, services
from apps.graph.models import Run
from apps.infra.models import DeploymentStatus, ServiceDeployment
from apps.projects.models import (
    ForgeName,
    MergeRequest,
    MergeRequestStatus,
    Project,
    ProjectStatus,
    Task,
    TaskEvent,
)
from apps.workers.models import Turn, TurnStatus, Verification, VerificationStatus, Worker, WorkerStatus
from tests.factories import make_project, make_server, make_sha, make_task


def product_failure(stage: str, code: str) -> dict[str, Any]:
    return Failure(
        stage=stage, kind=FailureKind.PRODUCT, code=code, message="The work said no.", retryable=True
    ).as_json()


def platform_failure(stage: str, code: str) -> dict[str, Any]:
    return Failure(
        stage=stage, kind=FailureKind.PLATFORM, code=code, message="It broke.", retryable=True
    ).as_json()


class World:
    """One task on one project, and the hands that move the rows it waits for."""

    def __init__(
        self, *, project_status: str = ProjectStatus.ACTIVE, forge: str = ForgeName.LOCAL, **task_fields: Any
    ) -> None:
        self.project: Project = make_project(status=project_status, forge=forge)
        self.task: Task = make_task(project=self.project, **task_fields)

    # --- the run ---

    def start(self) -> UUID:
        return services.start_task(task_id=self.task.pk)

    def advance(self) -> executor.Advance:
        return executor.advance(run_id=self.run.pk)

    @property
    def run(self) -> Run:
        return Run.objects.get(task=self.task)

    @property
    def waits_for(self) -> str:
        return self.run.waiting_for.partition(":")[0]

    def events(self) -> list[str]:
        return list(TaskEvent.objects.filter(task=self.task).order_by("seq").values_list("kind", flat=True))

    def nodes(self) -> list[str]:
        return list(self.run.steps.order_by("seq").values_list("node", flat=True))

    def play(self, *, until: str | None = None, moves: int = 40) -> None:
        """Advance and move whatever the run waits for, until it ends or waits for ``until``."""
        for _ in range(moves):
            self.advance()
            if self.run.status in Run.final_statuses() or self.waits_for == until:
                return
            self.move()
        raise AssertionError(f"The run is still {self.run.status}, waiting for {self.run.waiting_for}")

    def move(self) -> None:
        """Let the lower apps finish what the run waits for, successfully."""
        hands: dict[str, Callable[[], None]] = {
            "project": self.scaffold,
            "worker": self.ready_worker,
            "removal": self.remove_workers,
            "turn": self.finish_turn,
            "change": self.open_change,
            "verification": self.pass_checks,
            "merge": self.merge,
            "deployment": self.go_live,
        }
        hands[self.waits_for]()

    # --- projects ---

    def scaffold(self) -> None:
        ready = make_project(status=ProjectStatus.ACTIVE)
        Project.transition(
            self.project.pk,
            to=ProjectStatus.ACTIVE,
            head_sha=ready.head_sha,
            scaffold_sha=ready.scaffold_sha,
            workspace_name=ready.workspace_name,
            workspace_sha256=ready.workspace_sha256,
            manifest=ready.manifest,
        )

    @property
    def change(self) -> MergeRequest:
        return MergeRequest.objects.filter(task=self.task).latest("created_at")

    def open_change(self) -> None:
        name = f"checkouts/{self.change.pk}.bundle"
        digest = hashlib.sha256(name.encode()).hexdigest()
        MergeRequest.transition(
            self.change.pk, to=MergeRequestStatus.OPEN, checkout_name=name, checkout_sha256=digest
        )

    def refuse_change(self, code: str = "protected_path", **columns: Any) -> None:
        failure = product_failure("change", code)
        MergeRequest.transition(self.change.pk, to=MergeRequestStatus.REFUSED, failure=failure, **columns)

    def move_base(self) -> None:
        """Let the merge meet a base that has moved on."""
        failure = platform_failure("merge", "base_moved")
        MergeRequest.transition(self.change.pk, to=MergeRequestStatus.REFUSED, failure=failure)

    def fail_at_host(self, *, fingerprint: str = "f1", excerpt: str = "E   assert 3 == 4") -> None:
        """Let the git host's checks of the proposed change fail."""
        failure = product_failure("checks", "host_checks_failed")
        failure["details"] = {"job": "check", "step": "Run make check", "log_tail": excerpt}
        MergeRequest.transition(
            self.change.pk,
            to=MergeRequestStatus.REFUSED,
            failure=failure,
            fingerprint=fingerprint,
            checks={"status": "failed", "excerpt": excerpt},
        )

    def merge(self) -> None:
        sha = make_sha()
        MergeRequest.transition(
            self.change.pk, to=MergeRequestStatus.MERGED, merge_sha=sha, merged_at=timezone.now()
        )
        Project.objects.filter(pk=self.project.pk).update(head_sha=sha)

    # --- workers ---

    @property
    def worker(self) -> Worker:
        return Worker.objects.filter(task_id=self.task.pk).latest("created_at")

    @property
    def turn(self) -> Turn:
        return Turn.objects.filter(task_id=self.task.pk).latest("created_at")

    @property
    def verification(self) -> Verification:
        return Verification.objects.filter(task_id=self.task.pk).latest("created_at")

    def ready_worker(self) -> None:
        for status in (WorkerStatus.STARTING, WorkerStatus.RUNNING):
            Worker.transition(self.worker.pk, to=status)

    def crash_worker(self) -> None:
        now = timezone.now()
        failure = platform_failure("worker", "container_died")
        Turn.objects.filter(worker=self.worker, status__in=[TurnStatus.PENDING, TurnStatus.RUNNING]).update(
            status=TurnStatus.CRASHED, failure=platform_failure("turn", "worker_died"), finished_at=now
        )
        Worker.transition(self.worker.pk, to=WorkerStatus.CRASHED, failure=failure, finished_at=now)

    def remove_workers(self) -> None:
        """Prove that every worker which was told to end, or has ended, is gone."""
        for worker in Worker.objects.filter(task_id=self.task.pk, removed_at=None):
            if worker.status == WorkerStatus.CANCELING:
                Worker.transition(worker.pk, to=WorkerStatus.CANCELED, removed_at=timezone.now())
            elif worker.status in Worker.final_statuses():
                Worker.objects.filter(pk=worker.pk).update(removed_at=timezone.now())

    def finish_turn(self, **fields: Any) -> None:
        sha = make_sha()
        digest = hashlib.sha256(sha.encode()).hexdigest()
        defaults = {
            "commit_sha": sha,
            "branch": self.worker.branch,
            "bundle_name": f"snapshots/{self.worker.pk}/{digest}.bundle",
            "bundle_sha256": digest,
            "summary": "Added books.",
            "duration_ms": 1_500,
            "finished_at": timezone.now(),
        }
        Turn.transition(self.turn.pk, to=fields.pop("status", TurnStatus.SUCCEEDED), **{**defaults, **fields})

    def fail_turn(self, code: str) -> None:
        self.finish_turn(
            status=TurnStatus.FAILED, commit_sha="", bundle_name="", failure=product_failure("turn", code)
        )

    def pass_checks(self) -> None:
        evidence = {"passed": 12, "total": 12, "seconds": 2.5, "install_seconds": 4.0}
        self._end_checks(VerificationStatus.SUCCEEDED, evidence=evidence)

    def fail_checks(self, code: str = "checks_failed") -> None:
        failure = product_failure("verification", code)
        self._end_checks(VerificationStatus.FAILED, failure=failure, log_tail="E  assert 1 == 2")

    def crash_checks(self) -> None:
        failure = platform_failure("verification", "could_not_run")
        self._end_checks(VerificationStatus.CRASHED, failure=failure)

    def _end_checks(self, status: str, **fields: Any) -> None:
        Verification.transition(self.verification.pk, to=VerificationStatus.RUNNING)
        Verification.transition(self.verification.pk, to=status, finished_at=timezone.now(), **fields)

    # --- infra ---

    @property
    def deployment(self) -> ServiceDeployment:
        return ServiceDeployment.objects.filter(task_id=self.task.pk).latest("created_at")

    def go_live(self) -> None:
        deployment = self.deployment
        evidence = {"install_seconds": 3.0, "start_seconds": 0.4, "smoke": {"status": 200, "seconds": 0.02}}
        for status in (DeploymentStatus.INSTALLING, DeploymentStatus.STARTING):
            ServiceDeployment.transition(deployment.pk, to=status)
        ServiceDeployment.transition(
            deployment.pk,
            to=DeploymentStatus.LIVE,
            url=f"http://127.0.0.1:{deployment.allocation.port}",
            evidence=evidence,
            live_at=timezone.now(),
        )

    def end_canceled(self) -> None:
        """Let everything that was told to end, end."""
        self.remove_workers()
        for check in Verification.objects.filter(task_id=self.task.pk, status=VerificationStatus.CANCELING):
            Verification.transition(check.pk, to=VerificationStatus.CANCELED)
        for release in ServiceDeployment.objects.filter(
            task_id=self.task.pk, status=DeploymentStatus.CANCELING
        ):
            ServiceDeployment.transition(release.pk, to=DeploymentStatus.CANCELED)


def make_deploy_world() -> World:
    """An active project with a pending deploy task and a server with room."""
    make_server()
    return World(type="deploy", spec="")
