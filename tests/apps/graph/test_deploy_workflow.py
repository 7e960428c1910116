"""Deploying by the project's own workflow: who is asked, what is retried, what goes back, and what fences."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.errors import Invalid
from apps.failures import Failure, FailureKind
from apps.graph import ending, rollouts, services
from apps.graph.deploy_faults import Fault, fault_of_process, fault_of_workflow
from apps.graph.models import Question, Run, RunStatus
from apps.infra.models import DeploymentStatus, Server, ServerKind, ServiceDeployment
from apps.infra.rollouts import get_access
from apps.projects.models import Dispatch, DispatchStatus, Project, ProjectSecret, Task, TaskEvent
from tests.apps.graph.world import World
from tests.factories import MANIFEST, make_server, make_sha

pytestmark = [pytest.mark.service, pytest.mark.django_db, pytest.mark.usefixtures("memory", "broker")]

CONTRACT = [
    {"key": "WEB_PORT", "source": "allocation", "role": "web", "consumers": ["backend"]},
    {"key": "DB_PASSWORD", "source": "generated_secret", "targets": ["compose"]},
]
TOKEN = "123456789:" + "A" * 35


def make_ssh(**fields: Any) -> Server:
    login = {"ssh_user": "deploy", "host_key": "ssh-ed25519 AAAA", "identity": "PRIVATE"}
    return make_server(**{"kind": ServerKind.SSH, "name": "berlin", **login, **fields})


class Site(World):
    """A project on GitHub, its deploy task, and the hands of the git host."""

    def __init__(self, *entries: dict[str, Any], **fields: Any) -> None:
        super().__init__(type="deploy", spec="", **fields)
        manifest = {**MANIFEST, "environment": [*CONTRACT, *entries]}
        Project.objects.filter(pk=self.project.pk).update(forge="github", manifest=manifest)
        self.start()

    @property
    def dispatch(self) -> Dispatch:
        return Dispatch.objects.filter(task=self.task).latest("created_at")

    def end_dispatch(self, status: str, **fields: Any) -> None:
        row = self.dispatch
        if row.status == DispatchStatus.PENDING:
            Dispatch.transition(row.pk, to=DispatchStatus.DISPATCHING)
            Dispatch.transition(row.pk, to=DispatchStatus.RUNNING, run_url="https://git.example/runs/1")
        Dispatch.transition(row.pk, to=status, finished_at=timezone.now(), **fields)

    def succeed(self) -> None:
        self.end_dispatch(DispatchStatus.SUCCEEDED, url="http://127.0.0.1:21000/", images={"a": "sha256:b"})

    def fail(self, code: str = "workflow_failed", *, step: str = "", excerpt: str = "") -> None:
        failure = Failure(stage="workflow", kind=FailureKind.PROVIDER, code=code, message="No.")
        log = {"job": "deploy", "step": step, "excerpt": excerpt} if step else None
        self.end_dispatch(DispatchStatus.FAILED, failure=failure.as_json(), log=log)

    def answer(self) -> None:
        ServiceDeployment.transition(
            self.deployment.pk,
            to=DeploymentStatus.LIVE,
            live_at=timezone.now(),
            evidence={"smoke": {"status": 200}, "run": "x"},
        )

    def move(self) -> None:
        if self.waits_for == "dispatch":
            self.succeed()
        elif self.waits_for == "deployment":
            self.answer()
        else:
            super().move()

    @property
    def code(self) -> str:
        return (self.task.reload().failure or {})["code"]


def test_a_commit_becomes_an_address_on_a_server() -> None:
    make_ssh()
    site = Site()

    site.play()

    assert site.task.reload().status == "succeeded"
    assert site.task.result["url"] == "http://127.0.0.1:21000/"
    assert site.events() == [
        "acknowledged",
        "port_allocated",
        "workflow_started",
        "workflow_finished",
        "smoke_passed",
        "deployed",
        "succeeded",
    ]
    assert site.deployment.images == {"a": "sha256:b"}
    assert len(site.deployment.contract_version) == len(site.deployment.environment_digest) == 64


def test_the_workflow_is_told_commit_and_ports_and_gets_the_servers_keys() -> None:
    make_ssh(host="203.0.113.9")
    site = Site()

    site.play(until="dispatch")

    inputs = site.dispatch.inputs
    port = get_access(deployment_id=site.deployment.pk).ports["web"]
    assert inputs == {"sha": site.project.head_sha, "ports": f'{{"WEB_PORT": {port}}}', "rollback": "false"}
    assert site.dispatch.secret_keys == ["DB_PASSWORD"]
    assert '"DEPLOY_HOST": "203.0.113.9"' in site.dispatch.access
    assert "PRIVATE" not in str(site.run.steps.values_list("data", flat=True))


def test_secrets_are_asked_for_one_after_the_other_with_their_descriptions() -> None:
    make_ssh()
    words = {"en": "What BotFather gave you", "ru": "Что дал BotFather"}
    site = Site(
        {"key": "A_TOKEN", "source": "user_secret", "format": "telegram_bot_token", "description": words},
        {"key": "B_KEY", "source": "user_secret"},
    )
    site.play(until="question")
    first = Question.objects.get()

    with pytest.raises(Invalid, match="must be the token"):
        services.answer_question(question_id=first.pk, text="not a token")
    services.answer_question(question_id=first.pk, text=TOKEN)
    site.play(until="question")
    second = Question.objects.exclude(pk=first.pk).get()
    services.answer_question(question_id=second.pk, text="b")
    site.play(until="dispatch")

    assert first.secret_key == "A_TOKEN"
    assert "What BotFather gave you" in first.text
    assert "Что дал BotFather" in first.texts["ru"]
    assert second.secret_key == "B_KEY"
    assert set(site.dispatch.secret_keys) == {"A_TOKEN", "B_KEY", "DB_PASSWORD"}


def test_a_generated_secret_survives_a_second_deployment() -> None:
    make_ssh()
    Site().play(until="dispatch")
    before = ProjectSecret.objects.get().value

    first = Task.objects.get()
    services.cancel_task(task_id=first.pk)

    assert ProjectSecret.objects.get().value == before


class TestPlaces:
    @pytest.mark.parametrize(
        ("server", "code", "kind"),
        [
            (None, "no_server", "platform"),
            ({"host_key": ""}, "server_incomplete", "platform"),
        ],
    )
    def test_what_an_operator_has_to_do_ends_the_task_in_words(
        self, server: dict[str, Any] | None, code: str, kind: str
    ) -> None:
        if server is not None:
            make_ssh(**server)
        site = Site()

        site.advance()

        failure = site.task.reload().failure or {}
        assert (failure["code"], failure["kind"]) == (code, kind)

    def test_a_full_server_is_waited_for_and_that_is_told_once(self) -> None:
        full = make_ssh(port_range_start=21_000, port_range_end=21_000)
        full.allocations.create(port=21_000, project_id=full_project(), service_name="x", role="web")
        site = Site()

        site.advance()
        Run.objects.update(status_changed_at=timezone.now() - timedelta(seconds=10))
        site.advance()

        assert site.run.waiting_for == "unavailable:no_capacity"
        assert site.events().count("capacity_awaited") == 1


def full_project() -> str:
    return "11111111-2222-3333-4444-555555555555"


class TestFaults:
    @pytest.mark.parametrize(
        ("step", "excerpt", "fault"),
        [
            ("Build", "E  SyntaxError", Fault.CODE),
            ("Build", "Could not resolve host: registry.example", Fault.ELSEWHERE),
            ("Activate", "not healthy:\nbackend 3 restarting", Fault.CODE),
            ("Activate", "not healthy:\nthe release before is not healthy either", Fault.ELSEWHERE),
            ("Activate", "another deployment of books is at work", Fault.ELSEWHERE),
            ("Bring the release to the server", "broken pipe", Fault.ELSEWHERE),
            ("Check out the commit", "exit 1", Fault.ELSEWHERE),
            ("Prepare the connection", "Host key verification failed", Fault.ELSEWHERE),
            ("Anything else", "E  SyntaxError", Fault.ELSEWHERE),
            ("Activate", "the release abc is not on the server", Fault.PERSON),
        ],
    )
    def test_only_evidence_against_the_code_is_held_against_it(
        self, step: str, excerpt: str, fault: Fault
    ) -> None:
        log = {"job": "deploy", "step": step, "excerpt": excerpt}

        assert fault_of_workflow("workflow_failed", log) is fault

    def test_without_a_log_nothing_is_held_against_the_code(self) -> None:
        assert fault_of_workflow("workflow_failed", None) is Fault.ELSEWHERE

    @pytest.mark.parametrize(
        ("code", "log", "fault"),
        [
            ("service_exited", "Traceback", Fault.CODE),
            ("setup_failed", "network is unreachable", Fault.ELSEWHERE),
            ("ports_taken", "", Fault.ELSEWHERE),
            ("smoke_impossible", "", Fault.ELSEWHERE),
            ("bot_token_refused", "", Fault.PERSON),
        ],
    )
    def test_releases_of_ours_are_judged_by_their_code(self, code: str, log: str, fault: Fault) -> None:
        assert fault_of_process(code, log) is fault

    def test_what_nobody_can_be_blamed_for_is_tried_again_and_never_by_an_agent(self) -> None:
        make_ssh()
        site = Site()

        for _ in range(3):
            site.play(until="dispatch")
            site.fail(step="Bring the release to the server", excerpt="broken pipe")
        site.advance()

        assert site.task.reload().status == "failed"
        assert Dispatch.objects.count() == 3
        assert Task.objects.count() == 1
        assert site.deployment.status == DeploymentStatus.CRASHED

    def test_the_codes_own_fault_goes_back_to_engineering_once_with_the_log(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        site.fail(step="Build", excerpt="E  SyntaxError: \x1b invalid")

        done = site.advance()

        (mending,) = Task.objects.filter(follows=site.task)
        assert (mending.type, mending.deploy_after, mending.status) == ("engineering", True, "running")
        assert "SyntaxError" in mending.spec
        assert done.started == mending.runs.get().pk
        assert "returned" in site.events()
        assert Dispatch.objects.count() == 1
        assert "SyntaxError" not in str(site.run.failure)

    def test_mending_ends_after_two_rounds(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        site.fail(step="Build", excerpt="E  SyntaxError")
        site.advance()
        for _ in range(2):
            mending = Task.objects.get(type="engineering", status="running")
            Run.transition(mending.runs.get().pk, to="running", outcome={"status": "succeeded", "result": {}})
            ending.settle(mending.runs.get())
            again = Task.objects.get(type="deploy", follows=mending)
            site.task = again
            site.play(until="dispatch")
            site.fail(step="Build", excerpt="E  SyntaxError")
            site.advance()

        assert Task.objects.filter(type="engineering").count() == 2
        assert site.task.reload().status == "failed"

    @pytest.mark.parametrize("code", ["workflow_not_found", "secret_lost", "workflow_canceled"])
    def test_what_a_person_has_to_do_is_neither_retried_nor_an_agents(self, code: str) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        site.fail(code)

        site.advance()

        assert (site.code, Dispatch.objects.count(), Task.objects.count()) == (code, 1, 1)


class TestMovedBranch:
    def test_a_merge_in_between_is_released_instead(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        sha = make_sha()
        Project.objects.filter(pk=site.project.pk).update(head_sha=sha)
        site.fail("deploy_branch_moved")

        site.play()

        assert site.task.reload().status == "succeeded"
        assert (site.deployment.commit_sha, site.dispatch.sha) == (sha, sha)
        assert ServiceDeployment.objects.count() == 1

    def test_a_person_who_moved_the_branch_is_told(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        site.fail("deploy_branch_moved")

        site.advance()

        assert (site.code, Dispatch.objects.count()) == ("deploy_branch_moved", 1)


class TestFence:
    def test_a_canceled_task_is_told_so_when_the_workflow_has_ended(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.DISPATCHING)
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.RUNNING)

        services.cancel_task(task_id=site.task.pk)
        site.advance()
        assert site.dispatch.status == DispatchStatus.CANCELING
        assert site.task.reload().status == "canceling"
        assert site.run.waiting_for == f"dispatch:{site.dispatch.pk}"
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.CANCELED)
        site.advance()
        site.advance()

        assert site.task.reload().status == "canceled"
        assert site.deployment.status == DeploymentStatus.CANCELED

    def test_a_workflow_that_went_through_after_all_is_the_release_there_is(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.DISPATCHING)
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.RUNNING)
        services.cancel_task(task_id=site.task.pk)
        site.advance()

        site.succeed()
        site.advance()

        assert site.deployment.status == DeploymentStatus.STARTING

    def test_a_late_run_is_not_told_failed_while_its_workflow_is_at_work(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.DISPATCHING)
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.RUNNING)
        Run.objects.update(deadline_at=timezone.now())

        site.advance()
        assert (site.run.status, site.dispatch.status) == (RunStatus.WAITING, DispatchStatus.CANCELING)
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.CANCELED)
        site.advance()

        assert site.task.reload().status in ("failed", "crashed")
        assert site.deployment.status in ("canceled", "failed", "crashed")

    def test_what_a_run_left_behind_is_settled_by_the_sweep(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.DISPATCHING)
        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.RUNNING)
        services.cancel_task(task_id=site.task.pk)
        site.advance()
        Run.objects.update(status=RunStatus.CRASHED)
        assert rollouts.find_unsettled() == [site.task.pk]
        rollouts.settle(site.task.pk)
        assert site.deployment.status == DeploymentStatus.CANCELING

        Dispatch.transition(site.dispatch.pk, to=DispatchStatus.CANCELED)
        rollouts.settle(site.task.pk)

        assert site.deployment.status == DeploymentStatus.CANCELED
        assert rollouts.find_unsettled() == []

    def test_a_workflow_started_twice_tells_its_beginning_once_each(self) -> None:
        make_ssh()
        site = Site()
        site.play(until="dispatch")
        site.fail("workflow_timed_out")

        site.play(until="dispatch")

        assert site.dispatch.idempotency_key.endswith("dispatch-2")
        assert TaskEvent.objects.filter(kind="workflow_failed").get().data["again"] is True
