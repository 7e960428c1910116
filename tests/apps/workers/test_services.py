"""What may be asked of workers."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.workers import product_owner as product_owners
from apps.workers import selectors, services
from apps.workers.composition import container_spec, get_limits
from apps.workers.credentials import credentials_of, digest
from apps.workers.instructions import InstructionsTooLong
from apps.workers.models import AgentConfig, Turn, TurnStatus, Verification, Worker, WorkerStatus
from apps.workers.requests import RequestInvalid, VerificationRequest, WorkerRequest
from tests.factories import make_sha, make_turn, make_user, make_verification, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def developer(**fields: Any) -> WorkerRequest:
    defaults: dict[str, Any] = {
        "worker_type": "developer",
        "owner_id": 1,
        "workspace_name": "workspaces/a/b.bundle",
        "workspace_sha256": "a" * 64,
        "base_branch": "main",
        "base_sha": make_sha("base"),
        "branch": "task/1-1",
    }
    return WorkerRequest(**{**defaults, **fields})


def checks(**fields: Any) -> VerificationRequest:
    defaults: dict[str, Any] = {
        "project_id": uuid4(),
        "bundle_name": "checkouts/a.bundle",
        "bundle_sha256": "a" * 64,
        "base_sha": make_sha("base"),
        "head_sha": make_sha("head"),
        "commands": {"setup": "make setup", "check": "make check", "tests": "make tests-list"},
    }
    return VerificationRequest(**{**defaults, **fields})


def test_second_request_with_same_key_returns_first_worker() -> None:
    first = services.request_worker(idempotency_key="key", request=developer())

    second = services.request_worker(idempotency_key="key", request=developer(branch="task/2-1"))

    assert second == first
    assert Worker.objects.count() == 1


def test_worker_row_keeps_only_digests_of_its_secrets() -> None:
    worker_id = services.request_worker(idempotency_key="key", request=developer())

    worker = Worker.objects.get(pk=worker_id)

    assert worker.token_sha256 == digest(credentials_of(worker_id).token)
    assert worker.password_sha256 == digest(credentials_of(worker_id).password)
    assert credentials_of(worker_id).token not in repr(credentials_of(worker_id))


def test_worker_gets_commands_of_its_profile() -> None:
    worker_id = services.request_worker(idempotency_key="key", request=developer(allowed_commands=()))

    assert Worker.objects.get(pk=worker_id).allowed_commands == []


def test_agent_of_an_active_configuration_is_chosen() -> None:
    AgentConfig.objects.create(name="off", agent_type="codex", is_active=False)
    AgentConfig.objects.create(name="on", agent_type="factory", model="m", system_prompt="Be brief.")

    worker_id = services.request_worker(idempotency_key="key", request=developer(instructions="Go."))

    worker = Worker.objects.get(pk=worker_id)
    assert worker.agent_type == "factory"
    assert worker.config["instructions"] == "Be brief.\n\nGo."
    assert worker.config["model"] == "m"


def test_rehearsal_is_the_agent_when_nothing_else_is_usable() -> None:
    worker_id = services.request_worker(idempotency_key="key", request=developer())

    assert Worker.objects.get(pk=worker_id).agent_type == "rehearsal"


@pytest.mark.parametrize(
    "fields",
    [
        {"agent_type": "human"},
        {"worker_type": "boss"},
        {"base_sha": "main"},
        {"workspace_name": ""},
        {"profile": "KING"},
        {"env_vars": {"WORKER_TOKEN": "x"}},
        {"env_vars": {"A B": "x"}},
    ],
)
def test_impossible_worker_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        developer(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"commands": {"setup": "make setup", "check": " "}},
        {"protected": ("/etc/passwd",)},
        {"protected": ("../x",)},
        {"head_sha": "HEAD"},
    ],
)
def test_impossible_verification_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid):
        checks(**fields)


def test_turns_are_numbered_and_sent_once() -> None:
    worker = make_worker()
    first = services.send_turn(idempotency_key="one", worker_id=worker.pk, prompt="a", timeout_seconds=60)
    Turn.transition(first, to=TurnStatus.FAILED)

    again = services.send_turn(idempotency_key="one", worker_id=worker.pk, prompt="a", timeout_seconds=60)
    second = services.send_turn(idempotency_key="two", worker_id=worker.pk, prompt="b", timeout_seconds=60)

    assert again == first
    assert [turn.number for turn in Turn.objects.order_by("number")] == [1, 2]
    assert Turn.objects.get(pk=second).task_id == worker.task_id


def test_turn_may_report_for_as_long_as_its_reconciler_allows() -> None:
    before = timezone.now()

    turn_id = services.send_turn(
        idempotency_key="one", worker_id=make_worker().pk, prompt="a", timeout_seconds=60
    )

    allowed = Turn.objects.get(pk=turn_id).deadline_at - before
    assert 0 <= allowed.total_seconds() - 60 - get_limits().report_seconds < 5


def test_worker_with_unfinished_turn_takes_no_other() -> None:
    turn = make_turn()

    with pytest.raises(services.WorkerBusy):
        services.send_turn(idempotency_key="two", worker_id=turn.worker_id, prompt="b", timeout_seconds=60)


@pytest.mark.parametrize("status", sorted(Worker.final_statuses() | {WorkerStatus.CANCELING}))
def test_ended_worker_takes_no_turn(status: str) -> None:
    worker = make_worker(status=status)

    with pytest.raises(services.WorkerGone):
        services.send_turn(idempotency_key="two", worker_id=worker.pk, prompt="b", timeout_seconds=60)


@pytest.mark.parametrize(("prompt", "seconds"), [("", 60), ("a\0b", 60), ("a", 0), ("a", 10**6)])
def test_impossible_turn_is_refused(prompt: str, seconds: int) -> None:
    worker = make_worker()

    with pytest.raises(RequestInvalid):
        services.send_turn(idempotency_key="x", worker_id=worker.pk, prompt=prompt, timeout_seconds=seconds)


@pytest.mark.parametrize(
    "pattern",
    [
        *("project.*; rm -rf /", "project.$(id)", "project.get\n*", "project.*\0", "Project.Get", "../*"),
        *("", ".*", "project.", "project..get", "project.g*t", "**", "project get", "x" * 101, "проект.*"),
    ],
)
def test_forbidden_characters_in_command_patterns_are_refused_before_any_effect(pattern: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        services.request_worker(
            idempotency_key="key", request=developer(allowed_commands=("project.get", pattern))
        )

    assert "allowed_commands" in refused.value.message
    assert len(str(refused.value.details)) < 200
    assert Worker.objects.count() == 0


def test_command_patterns_of_every_form_are_taken() -> None:
    patterns = ("*", "respond", "project.get", "infra.server.*")

    worker_id = services.request_worker(idempotency_key="key", request=developer(allowed_commands=patterns))

    assert Worker.objects.get(pk=worker_id).allowed_commands == list(patterns)
    with pytest.raises(RequestInvalid):
        developer(allowed_commands=("project.get",) * 101)


def test_orders_of_a_megabyte_are_refused_before_any_effect() -> None:
    with pytest.raises(InstructionsTooLong):
        services.request_worker(idempotency_key="key", request=developer(instructions="x" * 2**20))

    assert Worker.objects.count() == 0


def test_orders_that_are_too_long_with_their_agents_configuration_are_refused() -> None:
    AgentConfig.objects.create(name="on", agent_type="claude", system_prompt="y" * 50_000)

    with pytest.raises(InstructionsTooLong):
        services.request_worker(idempotency_key="key", request=developer(instructions="x" * 50_000))

    assert Worker.objects.count() == 0


def product_owner(owner_id: int = 7, **fields: Any) -> WorkerRequest:
    return WorkerRequest(worker_type="po", owner_id=owner_id, profile="PRODUCT_OWNER", **fields)


def test_person_has_one_product_owner() -> None:
    first = services.request_worker(idempotency_key="one", request=product_owner())

    second = services.request_worker(idempotency_key="two", request=product_owner())
    another = services.request_worker(idempotency_key="three", request=product_owner(owner_id=8))

    assert second == first
    assert another != first


def test_next_product_owner_goes_on_with_the_conversation() -> None:
    first = services.request_worker(idempotency_key="one", request=product_owner())
    Worker.transition(first, to=WorkerStatus.CRASHED)

    second = services.request_worker(idempotency_key="two", request=product_owner())

    sessions = set(Worker.objects.values_list("session_id", flat=True))
    homes = {product_owners.home_of(worker) for worker in Worker.objects.all()}
    assert second != first
    assert len(sessions) == 1
    assert UUID(sessions.pop())
    assert homes == {"home-7"}


def test_conversation_of_the_day_before_is_not_gone_on_with() -> None:
    first = services.request_worker(idempotency_key="one", request=product_owner())
    Worker.transition(first, to=WorkerStatus.SUCCEEDED)
    Worker.objects.update(created_at=timezone.now() - timedelta(hours=25))

    services.request_worker(idempotency_key="two", request=product_owner())

    assert Worker.objects.values("session_id").distinct().count() == 2


def test_conversation_of_another_agent_is_another() -> None:
    first = services.request_worker(idempotency_key="one", request=product_owner(agent_type="claude"))
    Worker.transition(first, to=WorkerStatus.SUCCEEDED)

    services.request_worker(idempotency_key="two", request=product_owner(agent_type="codex"))

    assert Worker.objects.values("session_id").distinct().count() == 2


def test_product_owner_that_is_ending_is_waited_for() -> None:
    first = services.request_worker(idempotency_key="one", request=product_owner())
    services.release_worker(worker_id=first)

    with pytest.raises(product_owners.ProductOwnerLeaving):
        services.request_worker(idempotency_key="two", request=product_owner())


def test_limits_of_a_worker_are_its_agents_or_the_installations(settings: Any) -> None:
    settings.WORKERS_MEMORY_MB, settings.WORKERS_CPUS = 1_024, 2.0
    AgentConfig.objects.create(name="on", agent_type="claude", memory_mb=512, cpus=0.5)

    workers = [
        Worker.objects.get(
            pk=services.request_worker(idempotency_key=agent, request=developer(agent_type=agent))
        )
        for agent in ("claude", "codex")
    ]

    limits = [(spec.memory_bytes, spec.cpus) for spec in map(container_spec, workers)]
    assert limits == [(512 * 2**20, 0.5), (1_024 * 2**20, 2.0)]


def test_release_keeps_its_first_time() -> None:
    worker = make_worker()
    services.release_worker(worker_id=worker.pk)
    first = Worker.objects.get(pk=worker.pk).released_at

    services.release_worker(worker_id=worker.pk)

    assert first is not None
    assert Worker.objects.get(pk=worker.pk).released_at == first


def test_cancel_of_an_ended_worker_changes_nothing() -> None:
    worker = make_worker(status=WorkerStatus.SUCCEEDED)

    services.cancel_worker(worker_id=worker.pk)

    assert Worker.objects.get(pk=worker.pk).status == WorkerStatus.SUCCEEDED


def test_unknown_worker_is_named() -> None:
    with pytest.raises(selectors.WorkerNotFound):
        services.release_worker(worker_id=uuid4())


def test_verification_is_requested_once(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        first = services.request_verification(idempotency_key="key", request=checks())
        second = services.request_verification(idempotency_key="key", request=checks())

    assert first == second
    assert Verification.objects.count() == 1
    assert len(callbacks) == 1


def test_canceled_verification_waits_for_its_reconciler() -> None:
    verification = make_verification()

    services.cancel_verification(verification_id=verification.pk)

    outcome = selectors.get_verification_outcome(verification_id=verification.pk)
    assert (outcome.status, outcome.is_final) == ("canceling", False)


def test_outcome_of_a_worker_says_ready_and_removed() -> None:
    worker = make_worker(owner_id=make_user().pk)

    outcome = selectors.get_worker_outcome(worker_id=worker.pk)

    assert (outcome.is_ready, outcome.is_final, outcome.removed) == (True, False, False)
