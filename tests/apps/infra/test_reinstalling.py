"""A server is erased once, for somebody who may and said so today; in every other case nothing is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from apps.errors import Conflict, Invalid
from apps.infra import identities, provisioning, provisioning_run, reinstalling
from apps.infra.composition import may_authorize
from apps.infra.models import (
    IdentityPurpose,
    Incident,
    PortAllocation,
    Provisioning,
    Server,
    SshIdentity,
)
from apps.infra.providers.allowing import AllowingProvider
from apps.infra.providers.base import Malformed, NotAllowed, ProviderAway, Throttled
from apps.infra.provisioning_tools import ProvisioningTools
from apps.infra.reinstalling import Confirmation
from apps.roles import Role
from tests.factories import make_deployment, make_server, make_user
from tests.fakes_provider import FakeProvider
from tests.fakes_provisioning import HOST_KEY, FakeLogin, FakePlaybooks
from tests.provider_server import ProviderServer, throttling

pytestmark = [pytest.mark.service, pytest.mark.django_db]

MANAGED = ["time4vps:110"]
ADMIN, DEPLOY = IdentityPurpose.ADMIN, IdentityPurpose.DEPLOY


class Site:
    """A provider's server that works, the provider, and the hands that carry out what is asked for."""

    def __init__(self, settings: Any) -> None:
        settings.INFRA_MANAGED_SERVER_IDS = list(MANAGED)
        self.settings = settings
        self.provider = FakeProvider()
        self.provider.add("110", address="203.0.113.10")
        self.operator = make_user(role=Role.OPERATOR)
        self.server: Server = make_server(
            kind="ssh",
            status="active",
            host="203.0.113.10",
            provider="time4vps",
            provider_id="110",
            provider_name="server 110",
            last_seen_at=timezone.now(),
            provisioned_at=timezone.now(),
            host_key=HOST_KEY,
            ssh_user="deploy",
        )
        for purpose in (ADMIN, DEPLOY):
            identity = identities.ensure_candidate(server=self.server, purpose=purpose)
            identities.mark_installed(identity_id=identity.pk)
        self.login = FakeLogin(passwords={"password-of-1"}, host_key="ssh-ed25519 " + "C" * 68)
        self.playbooks = FakePlaybooks(self.login)
        self.shift = timedelta()

    @property
    def tools(self) -> ProvisioningTools:
        return ProvisioningTools(
            playbooks=self.playbooks,
            login=self.login,
            installation="test",
            managed_ids=lambda: self.settings.INFRA_MANAGED_SERVER_IDS,
            provider_of=lambda _name: AllowingProvider(
                self.provider, allowed=lambda: self.settings.INFRA_MANAGED_SERVER_IDS
            ),
            may_authorize=may_authorize,
            beat_seconds=0,
            end_survivors=lambda _marker: 0,
            now=lambda: timezone.now() + self.shift,
        )

    def ask(self, **changes: Any) -> UUID:
        said = {"name": self.server.name, "projects": [], **changes}
        return reinstalling.request_reinstall(
            idempotency_key=uuid4().hex,
            server_id=self.server.pk,
            person_id=self.operator.pk,
            confirmation=Confirmation(**said),
        )

    def step(self, pk: UUID, *, after: float = 0) -> Provisioning:
        self.shift += timedelta(seconds=after)
        provisioning_run.reconcile_provisioning(provisioning_id=pk, tools=self.tools)
        return Provisioning.objects.get(pk=pk)

    def erased(self) -> int:
        return self.provider.calls.count("reinstall 110")

    def keys(self) -> set[str]:
        rows = SshIdentity.objects.filter(server=self.server, status="installed")
        return set(rows.values_list("purpose", flat=True))

    def incidents(self) -> list[tuple[str, str]]:
        return list(Incident.objects.filter(server=self.server).values_list("kind", "severity"))


@pytest.fixture
def site(settings: Any) -> Site:
    return Site(settings)


# --- It happens once ---------------------------------------------------------


def test_a_server_is_erased_and_set_up_anew(site: Site) -> None:
    pk = site.ask()

    begun = site.step(pk)
    cleared = site.server.reload()
    waiting = (cleared.status, cleared.host_key, cleared.provisioned_at, site.keys())
    busy = site.step(pk, after=30)
    site.provider.finish_tasks()
    site.step(pk, after=30)
    kept = site.server.reload().admin_password
    row = site.step(pk, after=60)

    assert (begun.status, begun.reinstall_task, busy.reinstalled_at) == ("pending", "1", None)
    assert waiting == ("pending_setup", "", None, set())
    assert kept == "password-of-1"
    assert (row.status, site.server.reload().status, row.reinstalled_at is None) == (
        "succeeded",
        "active",
        False,
    )
    assert (site.server.admin_password, site.keys(), site.erased()) == ("", {"admin", "deploy"}, 1)
    assert site.server.host_key == site.login.host_key
    said = LogEntry.objects.get(change_message__startswith="Reinstallation")
    assert (said.user_id, said.object_id) == (site.operator.pk, str(site.server.pk))


def test_the_whole_way_with_the_real_adapter_over_http(site: Site) -> None:
    with ProviderServer() as rented:
        held = rented.add_server(address="203.0.113.10", label="server 110")
        site.provider = rented.client()
        pk = site.ask()
        site.step(pk)
        rented.faults.append(throttling(seconds=7))
        site.step(pk, after=60)
        rented.finish_tasks()
        site.login.passwords = {held.password}
        site.step(pk, after=60)
        row = site.step(pk, after=60)

    assert (row.status, site.server.reload().status) == ("succeeded", "active")
    assert rented.seen.count("POST /api/server/110/reinstall") == 1
    assert held.public_key.endswith(f"codegen-admin-{site.server.pk}")


def test_the_new_system_is_given_a_key_that_is_in_the_database(site: Site) -> None:
    given: list[str] = []
    wanted = site.provider.reinstall

    def reinstall(provider_id: str, *, system: str, public_key: str) -> str:
        given.append(public_key)
        return wanted(provider_id, system=system, public_key=public_key)

    site.provider.reinstall = reinstall
    site.step(site.ask())

    candidate = SshIdentity.objects.get(server=site.server, purpose=ADMIN, status="candidate")
    assert given == [candidate.public_key]


def test_releases_that_are_gone_are_written_off_with_their_secrets(site: Site) -> None:
    release = make_deployment(server=site.server, status="live", url="https://x.example", environment="{1}")

    site.step(site.ask(projects=[str(release.project_id)]))

    release.refresh_from_db()
    assert (release.status, release.environment, release.removed_at is None) == ("stopped", "{}", False)


def test_a_redelivered_message_erases_nothing_twice(site: Site) -> None:
    pk = site.ask()

    for _ in range(3):
        site.step(pk, after=30)
    site.provider.finish_tasks()
    for _ in range(4):
        site.step(pk, after=60)

    assert (site.erased(), Provisioning.objects.get(pk=pk).status) == (1, "succeeded")


def test_a_second_attempt_of_the_episode_sets_up_and_erases_nothing(site: Site) -> None:
    pk = site.ask()
    site.step(pk)
    site.provider.finish_tasks()
    site.step(pk, after=30)
    site.login.is_up = False
    failed = site.step(pk, after=60)
    site.login.is_up = True
    second = site.server.provisionings.order_by("-created_at")[0]

    row = site.step(second.pk, after=600)

    assert (failed.status, row.attempt, row.status, row.force_reinstall) == ("failed", 2, "succeeded", False)
    assert site.erased() == 1


# --- Nothing destructive happens ---------------------------------------------


def _unlisted(site: Site) -> None:
    site.settings.INFRA_MANAGED_SERVER_IDS = []


def _demoted(site: Site) -> None:
    type(site.operator).objects.filter(pk=site.operator.pk).update(role=Role.MEMBER, is_staff=False)


def _locked_out(site: Site) -> None:
    type(site.operator).objects.filter(pk=site.operator.pk).update(is_active=False)


def _expired(site: Site) -> None:
    site.shift = timedelta(days=1)


def _taken_back(site: Site) -> None:
    Provisioning.objects.update(authorized_at=timezone.now() + timedelta(hours=1))


def _renamed(site: Site) -> None:
    Server.objects.filter(pk=site.server.pk).update(provider_name="somebody's shop")


def _moved(site: Site) -> None:
    site.provider.add("110", address="203.0.113.99")


def _unlisted_by_provider(site: Site) -> None:
    del site.provider.servers["110"]


def _missing(site: Site) -> None:
    Server.transition(site.server.pk, to="missing")


def _missed(site: Site) -> None:
    Server.objects.filter(pk=site.server.pk).update(missed_listings=1)


def _busy(site: Site) -> None:
    site.provider.reset_password("110")


def _another_project(site: Site) -> None:
    make_deployment(server=site.server, status="live", url="https://x.example")


def _a_release_on_its_way(site: Site) -> None:
    make_deployment(server=site.server, status="installing")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_unlisted, "not_managed"),
        (_demoted, "reinstall_not_authorized"),
        (_locked_out, "reinstall_not_authorized"),
        (_expired, "authorization_expired"),
        (_taken_back, "authorization_expired"),
        (_renamed, "another_machine"),
        (_moved, "another_machine"),
        (_unlisted_by_provider, "another_machine"),
        (_missing, "not_provisionable"),
        (_missed, "not_erasable"),
        (_busy, "provider_busy"),
        (_another_project, "projects_not_named"),
        (_a_release_on_its_way, "deployment_under_way"),
    ],
)
def test_what_was_allowed_when_it_was_asked_for_and_is_not_any_more_is_not_done(
    site: Site, change: Callable[[Site], None], code: str
) -> None:
    pk = site.ask()
    change(site)

    row = site.step(pk)
    site.step(pk, after=60)

    assert (row.status, row.failure["code"], row.failure["kind"]) == ("failed", code, "user")
    assert (site.erased(), site.keys(), site.server.reload().host_key) == (0, {"admin", "deploy"}, HOST_KEY)
    assert site.server.provisionings.count() == 1


@pytest.mark.parametrize("error", [ProviderAway(), Throttled(retry_after=60), Malformed()])
def test_a_listing_that_fails_allows_nothing_and_the_word_expires(site: Site, error: Exception) -> None:
    pk = site.ask()
    site.provider.refusal = error

    waiting = site.step(pk)
    site.provider.refusal = None
    expired = site.step(pk, after=16 * 60)

    assert (waiting.status, waiting.reinstall_begun_at) == ("pending", None)
    assert (expired.failure["code"], site.erased()) == ("authorization_expired", 0)


def test_a_failed_login_asks_for_nothing_but_another_attempt(site: Site) -> None:
    site.login.host_key = HOST_KEY
    pk = provisioning.request_provisioning(idempotency_key="1", server_id=site.server.pk, user_id=1)

    row = site.step(pk)

    assert row.failure["code"] == "login_refused"
    assert [call for call in site.provider.calls if call != "list_servers"] == []
    assert not Provisioning.objects.filter(force_reinstall=True).exists()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"provider": "manual", "provider_id": ""}, "not_erasable"),
        ({"provider_id": "4711"}, "not_managed"),
        ({"last_seen_at": None}, "not_erasable"),
        ({"status": "provisioning"}, "not_provisionable"),
        ({"status": "missing"}, "not_provisionable"),
        ({"status": "decommissioned"}, "not_provisionable"),
        ({"kind": "local"}, "not_provisionable"),
    ],
)
def test_what_is_not_ours_or_not_there_is_not_even_asked_for(
    site: Site, fields: dict[str, Any], code: str
) -> None:
    Server.objects.filter(pk=site.server.pk).update(**fields)

    with pytest.raises(Conflict) as refused:
        site.ask()

    assert refused.value.error_code == code
    assert not Provisioning.objects.exists()


def test_an_empty_list_allows_nothing(site: Site) -> None:
    site.settings.INFRA_MANAGED_SERVER_IDS = []

    with pytest.raises(Conflict) as refused:
        site.ask()

    assert (refused.value.error_code, site.provider.calls) == ("not_managed", [])


def test_another_name_and_other_projects_are_refused(site: Site) -> None:
    release = make_deployment(server=site.server, status="live", url="https://x.example")

    with pytest.raises(Invalid):
        site.ask(name="another", projects=[str(release.project_id)])
    with pytest.raises(Conflict) as unnamed:
        site.ask()
    with pytest.raises(Conflict) as foreign:
        site.ask(projects=[str(release.project_id), str(uuid4())])

    assert unnamed.value.details == {"projects": {str(release.project_id): release.project_slug}}
    assert foreign.value.error_code == "projects_not_named"
    assert not Provisioning.objects.exists()


def test_a_project_that_only_holds_a_port_there_is_named_too(site: Site) -> None:
    elsewhere = make_deployment(status="stopped", project_slug="shop")
    PortAllocation.objects.create(
        server=site.server, port=20_001, project_id=elsewhere.project_id, service_name="project", role="web"
    )

    losses = reinstalling.describe(site.server.pk)

    assert losses.projects == {str(elsewhere.project_id): "shop"}


def test_a_set_up_that_is_under_way_is_not_replaced_by_it(site: Site) -> None:
    provisioning.request_provisioning(idempotency_key="1", server_id=site.server.pk, user_id=1)

    with pytest.raises(provisioning.ProvisioningUnderWay):
        site.ask()


def test_a_system_that_is_not_offered_is_not_installed(site: Site) -> None:
    row = site.step(site.ask(system="temple-os"))

    assert (row.failure["code"], site.erased()) == ("system_not_offered", 0)


def test_one_that_has_not_begun_can_be_canceled_and_then_nothing_happens(site: Site) -> None:
    pk = site.ask()

    provisioning.cancel_provisioning(server_id=site.server.pk)

    assert (site.step(pk).status, site.provider.calls) == ("canceled", [])
    assert site.server.reload().status == "active"


def test_once_the_provider_is_at_work_it_is_neither_canceled_nor_replaced(site: Site) -> None:
    site.step(site.ask())

    with pytest.raises(provisioning.ReinstallUnderWay):
        provisioning.cancel_provisioning(server_id=site.server.pk)
    with pytest.raises(provisioning.ReinstallUnderWay):
        provisioning.request_provisioning(
            idempotency_key="1", server_id=site.server.pk, user_id=1, replace=True
        )


# --- Deaths and silences -----------------------------------------------------


def _dies(site: Site, *, after_the_effect: bool) -> Callable[..., str]:
    wanted = site.provider.reinstall

    def reinstall(provider_id: str, *, system: str, public_key: str) -> str:
        if after_the_effect:
            wanted(provider_id, system=system, public_key=public_key)
        raise SystemExit

    return reinstall


def test_a_death_after_the_provider_heard_is_adopted(site: Site) -> None:
    pk = site.ask()
    site.provider.reinstall = _dies(site, after_the_effect=True)
    with pytest.raises(SystemExit):
        site.step(pk)
    before = site.keys()

    row = site.step(pk, after=60)

    assert (before, row.reinstall_task, row.reinstall_accepted_at is None) == (
        {"admin", "deploy"},
        "1",
        False,
    )
    assert (site.erased(), site.keys()) == (1, set())


def test_one_without_a_number_is_waited_for_by_the_servers_own_state(site: Site) -> None:
    site.provider.tells_numbers = False
    pk = site.ask()
    site.provider.reinstall = _dies(site, after_the_effect=True)
    with pytest.raises(SystemExit):
        site.step(pk)

    adopted = site.step(pk, after=60)
    site.provider.finish_tasks()
    row = site.step(pk, after=60)

    assert (adopted.reinstall_task, adopted.reinstall_accepted_at is None) == ("", False)
    assert (row.reinstalled_at is None, site.erased()) == (False, 1)


def test_an_unknown_outcome_stops_and_calls_a_person_and_is_never_repeated(site: Site) -> None:
    pk = site.ask()
    site.provider.reinstall = _dies(site, after_the_effect=False)
    with pytest.raises(SystemExit):
        site.step(pk)

    asking = site.step(pk, after=60)
    row = site.step(pk, after=300)
    site.step(pk, after=300)

    assert (asking.status, row.status, row.failure["code"]) == ("pending", "crashed", "reinstall_unknown")
    assert site.incidents() == [("reinstall_unknown", "critical")]
    assert (site.erased(), site.keys(), site.server.provisionings.count()) == (0, {"admin", "deploy"}, 1)


@pytest.mark.parametrize("error", [ProviderAway(), Throttled(retry_after=5), Malformed()])
def test_a_lost_answer_is_looked_for_and_not_asked_for_again(site: Site, error: Exception) -> None:
    pk = site.ask()
    wanted = site.provider.reinstall

    def reinstall(provider_id: str, *, system: str, public_key: str) -> str:
        wanted(provider_id, system=system, public_key=public_key)
        raise error

    site.provider.reinstall = reinstall
    site.step(pk)

    row = site.step(pk, after=60)

    assert (row.reinstall_task, site.erased()) == ("1", 1)


@pytest.mark.parametrize("before", ["active", "unreachable", "maintenance", "discovered", "pending_setup"])
def test_a_plain_no_of_the_provider_ends_it_and_all_stays_as_it_was(site: Site, before: str) -> None:
    Server.objects.filter(pk=site.server.pk).update(status=before)
    pk = site.ask()
    site.provider.reinstall = _refuses

    row = site.step(pk)

    assert (row.status, row.failure["code"]) == ("failed", "reinstall_refused")
    assert site.server.reload().status == before
    assert site.keys() == {"admin", "deploy"}
    assert site.incidents() == [("provisioning_failed", "warning")]


def _refuses(_provider_id: str, *, system: str, public_key: str) -> str:
    raise NotAllowed("The service is suspended.")


def test_throttling_while_it_is_waited_for_loses_no_password(site: Site) -> None:
    pk = site.ask()
    site.step(pk)
    site.provider.refusal = Throttled(retry_after=90)

    throttled = site.step(pk, after=30)
    early = site.step(pk, after=60)
    site.provider.refusal = None
    site.provider.finish_tasks()
    row = site.step(pk, after=60)

    assert (throttled.status, early.due_at) == ("pending", throttled.due_at)
    assert row.reinstalled_at is not None
    assert site.server.reload().admin_password == "password-of-1"


def test_one_that_never_ends_is_a_persons_business(site: Site) -> None:
    pk = site.ask()
    site.step(pk)

    row = site.step(pk, after=3_700)

    assert (row.status, row.failure["code"]) == ("crashed", "reinstall_unknown")
    assert site.incidents() == [("reinstall_unknown", "critical")]


def test_the_new_password_is_in_no_plain_column(site: Site) -> None:
    pk = site.ask()
    site.step(pk)
    site.provider.finish_tasks()
    site.step(pk, after=30)

    row = Provisioning.objects.filter(pk=pk).values().get()
    assert "password-of-1" not in str(row)
    assert "password-of-1" not in str(Server.objects.extra(select={"raw": "admin_password"}).values("raw"))
