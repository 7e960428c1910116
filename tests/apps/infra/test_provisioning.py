"""A set-up from its request to its end: bounded, keyed first, and never of a server that is not ours."""

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.infra import (
    identities,
    incidents,
    provisioning,
    provisioning_run,
    provisioning_sweep,
    provisioning_tasks,
    signals,
)
from apps.infra.models import IdentityPurpose, Incident, Provisioning, ProvisioningKind, Server
from apps.infra.provisioning_run import ProvisioningTools
from apps.infra.recap import PlaybookOutcome, PlaybookResult
from orchestrator.celery import app
from tests.factories import make_deployment, make_server
from tests.fakes_provisioning import (
    HOST_KEY,
    OTHER_HOST_KEY,
    PASSWORD,
    WELL,
    FakeLogin,
    FakePlaybooks,
    failing,
)

pytestmark = [pytest.mark.service, pytest.mark.django_db]

ADMIN, DEPLOY = IdentityPurpose.ADMIN, IdentityPurpose.DEPLOY


class Site:
    """A server that waits for its set-up, and the hands that carry it out."""

    def __init__(self, *answers: PlaybookResult, **fields: Any) -> None:
        defaults = {"kind": "ssh", "status": "discovered", "host": "203.0.113.7", "admin_password": PASSWORD}
        self.server: Server = make_server(**{**defaults, **fields})
        self.login = FakeLogin()
        self.playbooks = FakePlaybooks(self.login, *answers)
        self.managed: set[str] = set()
        self.ended: list[str] = []
        self.shift = timedelta()

    @property
    def tools(self) -> ProvisioningTools:
        return ProvisioningTools(
            playbooks=self.playbooks,
            login=self.login,
            installation="test",
            managed_ids=lambda: self.managed,
            beat_seconds=0,
            end_survivors=self._end,
            now=lambda: timezone.now() + self.shift,
        )

    def _end(self, marker: str) -> int:
        self.ended.append(marker)
        return 1

    def ask(self, key: str = "", **fields: Any) -> UUID:
        key = key or uuid4().hex
        return provisioning.request_provisioning(
            idempotency_key=key, server_id=self.server.pk, user_id=1, **fields
        )

    def step(self, provisioning_id: UUID) -> Provisioning:
        provisioning_run.reconcile_provisioning(provisioning_id=provisioning_id, tools=self.tools)
        return Provisioning.objects.get(pk=provisioning_id)

    def newest(self) -> Provisioning:
        return self.server.provisionings.order_by("-created_at")[0]

    def status(self) -> str:
        return self.server.reload().status

    def key(self, purpose: IdentityPurpose) -> str:
        found = identities.find_installed(server_id=self.server.pk, purpose=purpose)
        return found.public_key if found else ""


@pytest.fixture(autouse=True)
def _managed(settings: Any) -> None:
    settings.INFRA_MANAGED_SERVER_IDS = []


# --- The way to an active server ---------------------------------------------


def test_a_server_is_set_up_and_its_keys_are_kept() -> None:
    site = Site()

    row = site.step(site.ask())

    server = site.server.reload()
    assert (row.status, row.attempt, server.status) == ("succeeded", 1, "active")
    assert (server.host_key, server.ssh_user, server.admin_password) == (HOST_KEY, "deploy", "")
    assert (server.system, server.cpus, server.memory_mb) == ("Debian 12", 2, 3_900)
    assert server.provisioned_at is not None
    assert site.key(ADMIN) in site.login.installed
    assert site.key(DEPLOY).endswith(f"codegen-deploy-{server.pk}")


def test_the_playbook_gets_public_keys_and_no_password() -> None:
    site = Site()

    site.step(site.ask())

    job = site.playbooks.jobs[0]
    assert job.variables["deploy_public_key"] == site.key(DEPLOY)
    assert PASSWORD not in str(dict(job.variables))
    assert job.host_key == HOST_KEY


def test_a_second_set_up_keeps_the_keys() -> None:
    site = Site()
    site.step(site.ask())
    before = (site.key(ADMIN), site.key(DEPLOY))

    row = site.step(site.ask())

    assert (row.status, site.status()) == ("succeeded", "active")
    assert (site.key(ADMIN), site.key(DEPLOY)) == before
    assert len(site.login.installed) == 1


def test_an_operators_key_lets_us_in_once_and_is_replaced_by_ours() -> None:
    site = Site(admin_password="")
    pair = identities.make_key_pair()
    site.login.keys.add(" ".join(pair.public_key.split()[:2]))
    identities.store_installed(server_id=site.server.pk, purpose=ADMIN, private_key=pair.private_key)

    row = site.step(site.ask())

    assert row.status == "succeeded"
    assert site.key(ADMIN) == site.login.installed[0]


def test_asking_twice_with_one_key_is_asking_once() -> None:
    site = Site()

    assert site.ask("one") == site.ask("one")
    assert site.server.provisionings.count() == 1


def open_incidents(site: Site) -> list[str]:
    return list(Incident.objects.filter(server=site.server, status="open").values_list("kind", flat=True))


def test_an_incident_is_told_once_and_is_over_when_a_set_up_ends_well() -> None:
    site = Site(failing("wrong_system"), failing("wrong_system"))
    for _ in range(2):
        site.step(site.ask())
    counts = list(Incident.objects.filter(server=site.server).values_list("kind", "count"))

    site.step(site.ask())

    assert counts == [("provisioning_failed", 2)]
    assert open_incidents(site) == []


# --- What it does not touch --------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "local"}, "not_provisionable"),
        ({"status": "missing"}, "not_provisionable"),
        ({"status": "decommissioned"}, "not_provisionable"),
        ({"provider": "time4vps", "provider_id": "77"}, "not_managed"),
        ({"provider": "time4vps", "provider_id": ""}, "not_managed"),
    ],
)
def test_a_server_that_nobody_put_into_our_hands_is_left_alone(fields: dict[str, Any], code: str) -> None:
    site = Site(**fields)

    with pytest.raises(provisioning.Conflict) as refused:
        site.ask()

    assert refused.value.error_code == code
    assert site.server.provisionings.count() == 0


def test_two_servers_of_one_address_are_a_question_not_a_set_up() -> None:
    site = Site()
    make_server(kind="ssh", host=site.server.host, name="twin")

    with pytest.raises(provisioning.Conflict) as refused:
        site.ask()

    assert refused.value.error_code == "duplicate_address"


def test_what_was_allowed_yesterday_and_is_not_today_is_not_done(settings: Any) -> None:
    site = Site(provider="time4vps", provider_id="77")
    settings.INFRA_MANAGED_SERVER_IDS = ["time4vps:77"]
    asked = site.ask()

    row = site.step(asked)

    assert (row.status, row.failure["code"]) == ("failed", "not_managed")
    assert (site.playbooks.jobs, site.login.installed) == ([], [])
    assert site.status() == "pending_setup"


def test_a_fresh_database_and_a_discovered_server_start_nothing() -> None:
    site = Site()

    assert provisioning_sweep.claim_due() == []
    assert provisioning.request_forgotten() == []
    assert site.status() == "discovered"


# --- Attempts ----------------------------------------------------------------


def test_nobody_begins_while_somebody_else_counts_who_is_at_work() -> None:
    site, counting, counted = Site(), threading.Event(), threading.Event()

    def count() -> None:
        with advisory_lock("provisioning", "places"):
            counting.set()
            counted.wait(30)
        connection.close()

    other = threading.Thread(target=count)
    other.start()
    counting.wait(30)
    asked = site.ask()
    while_counted = site.step(asked).status
    counted.set()
    other.join(30)

    assert while_counted == "pending"
    assert site.step(asked).status == "succeeded"


def test_attempts_are_bounded_and_wait_longer_each_time() -> None:
    site = Site(failing(), failing(), failing())
    site.step(site.ask())
    pauses = []
    for _ in range(2):
        row = site.newest()
        pauses.append(row.due_at - timezone.now())
        assert site.step(row.pk).status == "pending"
        site.shift += timedelta(minutes=5)
        site.step(row.pk)

    rows = site.server.provisionings.order_by("attempt")
    assert [row.status for row in rows] == ["failed", "failed", "failed"]
    assert len({row.episode for row in rows}) == 1
    assert pauses[0] < pauses[1]
    assert open_incidents(site) == ["provisioning_failed"]
    assert site.status() == "pending_setup"
    assert provisioning.request_forgotten() == []


def test_the_failing_task_is_on_the_row() -> None:
    site = Site(failing())

    row = site.step(site.ask())

    assert row.failure["message"] == "docker : Install: E: no such package"
    assert (row.failure["kind"], row.failure["retryable"]) == ("provider", True)


@pytest.mark.parametrize("code", ["wrong_system", "unsupported_host"])
def test_what_only_a_person_can_change_is_not_tried_again(code: str) -> None:
    site = Site(failing(code))

    row = site.step(site.ask())

    assert (row.status, row.failure["code"], row.failure["kind"]) == ("failed", code, "user")
    assert site.server.provisionings.count() == 1


def test_a_server_that_does_not_answer_is_tried_again_and_told_unreachable_if_it_was_active() -> None:
    site = Site(provisioned_at=timezone.now(), status="active")
    site.login.is_up = False

    asked = site.ask()
    for _ in range(3):
        row = site.step(asked)
        asked = site.newest().pk
        site.shift += timedelta(minutes=20)

    assert (row.status, row.attempt, row.failure["code"]) == ("failed", 3, "unreachable")
    assert site.status() == "unreachable"


def test_a_changed_host_key_is_refused_before_anything_is_said() -> None:
    site = Site(host_key=OTHER_HOST_KEY)

    row = site.step(site.ask())

    assert (row.status, row.failure["code"], row.failure["kind"]) == ("failed", "host_key_changed", "user")
    assert (site.login.installed, site.playbooks.jobs) == ([], [])
    assert site.server.reload().host_key == OTHER_HOST_KEY
    assert open_incidents(site) == ["host_key_changed"]


def test_a_wrong_password_is_refused_and_kept_for_the_person_to_correct() -> None:
    site = Site(admin_password="wrong horse")

    row = site.step(site.ask())

    assert (row.failure["code"], site.server.provisionings.count()) == ("login_refused", 1)
    assert site.server.reload().admin_password == "wrong horse"


def test_a_playbook_that_ends_well_and_lets_no_deployment_in_has_not_ended_well() -> None:
    site = Site()
    site.login.refuses_deployments = True

    row = site.step(site.ask())

    assert (row.status, row.failure["code"]) == ("failed", "login_refused")
    assert (site.status(), site.key(DEPLOY)) == ("pending_setup", "")


@pytest.mark.parametrize(
    ("outcome", "code", "tries"),
    [(PlaybookOutcome.TIMED_OUT, "timed_out", 2), (PlaybookOutcome.BROKEN, "playbook_broken", 1)],
)
def test_what_we_break_is_a_crash(outcome: PlaybookOutcome, code: str, tries: int) -> None:
    site = Site(PlaybookResult(outcome=outcome, recap={}))

    row = site.step(site.ask())

    assert (row.status, row.failure["code"], row.failure["kind"]) == ("crashed", code, "platform")
    assert site.server.provisionings.count() == tries


def test_one_playbook_runs_at_a_time() -> None:
    first, second = Site(), Site(host="203.0.113.8")
    Provisioning.transition(first.ask(), to="running")

    row = second.step(second.ask())

    assert (row.status, second.playbooks.jobs) == ("pending", [])


# --- Deaths, cancels, late results -------------------------------------------


def test_an_attempt_whose_process_died_is_followed_by_another_that_takes_the_same_keys() -> None:
    site = Site()
    site.playbooks.meanwhile = _die
    asked = site.ask()
    with pytest.raises(SystemExit):
        site.step(asked)
    candidate = identities.ensure_candidate(server=site.server, purpose=DEPLOY).public_key
    site.playbooks.meanwhile = lambda: None

    dead = site.step(asked)
    site.shift = timedelta(minutes=5)
    row = site.step(site.newest().pk)

    assert (dead.status, dead.failure["code"], site.ended) == (
        "crashed",
        "process_died",
        [f"test-{site.server.pk}"],
    )
    assert (row.status, row.attempt, site.status()) == ("succeeded", 2, "active")
    assert site.key(DEPLOY) == candidate
    assert len(site.login.installed) == 1


def _die() -> None:
    raise SystemExit


def test_a_silent_attempt_is_due_and_one_that_reports_is_not() -> None:
    silent, busy = Site(), Site(host="203.0.113.8")
    rows = [silent.ask(), busy.ask()]
    now = timezone.now()
    for pk, seconds in zip(rows, (20, 5), strict=True):
        Provisioning.transition(pk, to="running", heartbeat_at=now - timedelta(seconds=seconds))

    assert provisioning_sweep.claim_due() == [rows[0]]


def test_a_waiting_attempt_is_asked_for_once_a_minute() -> None:
    site = Site()
    asked = site.ask()

    assert provisioning_sweep.claim_due() == [asked]
    assert provisioning_sweep.claim_due() == []


def test_a_running_set_up_is_canceled() -> None:
    site = Site()
    asked = site.ask()
    site.playbooks.meanwhile = lambda: provisioning.cancel_provisioning(server_id=site.server.pk)

    row = site.step(asked)

    assert (row.status, site.status()) == ("canceled", "pending_setup")
    assert site.server.provisionings.count() == 1
    assert site.key(ADMIN) != ""
    assert provisioning.request_forgotten() == []


def test_a_waiting_set_up_is_canceled_at_once() -> None:
    site = Site()
    asked = site.ask()

    provisioning.cancel_provisioning(server_id=site.server.pk)

    assert site.step(asked).status == "canceled"
    assert site.playbooks.jobs == []


def test_nothing_to_cancel_is_said() -> None:
    site = Site()

    with pytest.raises(provisioning.NothingUnderWay):
        provisioning.cancel_provisioning(server_id=site.server.pk)


def test_a_second_request_is_refused_unless_it_replaces_the_first() -> None:
    site = Site()
    first = site.ask()

    with pytest.raises(provisioning.ProvisioningUnderWay):
        site.ask()
    second = site.ask(replace=True)

    statuses = dict(site.server.provisionings.values_list("pk", "status"))
    assert statuses == {first: "superseded", second: "pending"}


def test_a_superseded_attempts_result_counts_no_more_and_its_key_is_kept() -> None:
    site = Site()
    first = site.ask()
    second: list[UUID] = []
    wanted = site.playbooks.run

    def replaced_at_the_end(job: Any, watcher: Any) -> PlaybookResult:
        wanted(job, watcher)
        second.append(site.ask(replace=True))
        return WELL

    site.playbooks.run = replaced_at_the_end
    row = site.step(first)

    assert (row.status, site.status()) == ("superseded", "pending_setup")
    assert site.key(DEPLOY) != ""
    assert Provisioning.objects.get(pk=second[0]).status == "pending"


def test_a_heartbeat_that_cannot_be_written_breaks_no_playbook_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def update(self, **_: Any) -> int:
            raise OperationalError("away")

    beating = provisioning_run.Beating(uuid4(), every_seconds=0, now=timezone.now)
    monkeypatch.setattr(beating, "_rows", Away())

    assert beating.is_wanted(provisioning_run.Recap())


@pytest.mark.parametrize(("answer", "goes_on"), [(WELL, False), (failing(), True)])
def test_the_end_is_announced(answer: PlaybookResult, goes_on: bool) -> None:
    heard: list[tuple[str, bool]] = []

    def hear(provisioning_id: str, goes_on: bool, **_: Any) -> None:
        heard.append((provisioning_id, goes_on))

    site = Site(answer)
    signals.provisioning_ended.connect(hear)
    asked = site.ask()

    site.step(asked)

    assert heard == [(str(asked), goes_on)]


def test_an_end_and_its_incident_are_one_or_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(**_: Any) -> bool:
        raise SystemExit

    site = Site(failing("wrong_system"))
    asked = site.ask()
    monkeypatch.setattr(incidents, "report", dies)

    with pytest.raises(SystemExit):
        site.step(asked)

    # Its process is gone, so the next look ends it, and tells.
    assert Provisioning.objects.get(pk=asked).status == "running"


def test_a_recovery_runs_its_own_playbook_and_leaves_the_day_of_the_set_up() -> None:
    ready = timezone.now() - timedelta(days=3)
    site = Site(status="unreachable", provisioned_at=ready)
    make_deployment(server=site.server, status="live", url="https://x.example", project_slug="shop")

    row = site.step(site.ask(kind=ProvisioningKind.RECOVERY))

    job = site.playbooks.jobs[0]
    assert (row.kind, row.status, site.status()) == ("recovery", "succeeded", "active")
    assert (job.playbook, job.variables["compose_projects"]) == ("recovery.yml", ["shop"])
    assert site.server.provisioned_at == ready


@pytest.mark.parametrize("status", ["active", "maintenance"])
def test_a_recovery_that_fails_for_good_leaves_the_server_as_it_was(status: str) -> None:
    site = Site(failing("wrong_system"), provisioned_at=timezone.now(), status=status)

    row = site.step(site.ask(kind=ProvisioningKind.RECOVERY))

    assert (row.status, site.status()) == ("failed", status)


def test_a_server_that_was_never_set_up_is_not_recovered() -> None:
    site = Site()

    with pytest.raises(provisioning.NeverSetUp):
        site.ask(kind=ProvisioningKind.RECOVERY)

    assert site.status() == "discovered"


def test_a_second_attempt_of_a_recovery_is_one_too() -> None:
    site = Site(failing(), provisioned_at=timezone.now(), status="active")

    site.step(site.ask(kind=ProvisioningKind.RECOVERY))

    assert (site.newest().attempt, site.newest().kind) == (2, "recovery")


def test_a_password_puts_our_own_key_back_where_it_was_removed() -> None:
    site = Site()
    site.step(site.ask())
    before = site.key(ADMIN)
    site.login.keys.clear()
    Server.objects.filter(pk=site.server.pk).update(admin_password=PASSWORD)

    row = site.step(site.ask(kind=ProvisioningKind.RECOVERY))

    assert (row.status, site.key(ADMIN), site.server.reload().admin_password) == ("succeeded", before, "")


# --- Maintenance -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "after"),
    [
        ({"status": "active", "provisioned_at": timezone.now()}, "active"),
        ({"status": "active", "ssh_user": "deploy", "host_key": HOST_KEY}, "active"),
        ({"status": "pending_setup"}, "pending_setup"),
    ],
)
def test_a_server_is_taken_out_and_brought_back(fields: dict[str, Any], after: str) -> None:
    site = Site(**fields)

    provisioning.begin_maintenance(server_id=site.server.pk)
    meanwhile = site.status()
    provisioning.end_maintenance(server_id=site.server.pk)

    assert (meanwhile, site.status()) == ("maintenance", after)


def test_a_server_that_is_being_set_up_is_not_taken_out() -> None:
    site = Site()
    site.ask()

    with pytest.raises(provisioning.ProvisioningUnderWay):
        provisioning.begin_maintenance(server_id=site.server.pk)


def test_a_server_that_waits_and_was_forgotten_is_asked_for_once() -> None:
    site = Site(status="pending_setup")

    asked = [provisioning.request_forgotten(), provisioning.request_forgotten()]

    assert asked == [[site.server.pk], []]
    assert site.server.provisionings.count() == 1


# --- Its Celery task ---------------------------------------------------------


def test_a_playbook_has_a_queue_of_its_own_and_ends_before_its_message_comes_again(settings: Any) -> None:
    task = provisioning_tasks.reconcile_provisioning

    route = app.amqp.router.route({}, task.name)

    assert route["queue"].name == "provision"
    assert settings.INFRA_PROVISIONING_SECONDS < task.soft_time_limit < task.time_limit
    assert task.time_limit < settings.VISIBILITY_TIMEOUT_SECONDS


def test_a_message_about_what_is_not_there_is_nothing() -> None:
    provisioning_tasks.reconcile_provisioning(provisioning_id=str(uuid4()))

    assert not Provisioning.objects.exists()
