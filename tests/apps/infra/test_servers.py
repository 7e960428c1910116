"""Servers reached by SSH: what an operator says is checked before it is stored, and a key never comes out."""

from typing import Any

import pytest
from django.test import Client

from apps.errors import Invalid
from apps.infra import servers
from apps.infra.identities import find_installed, make_key_pair
from apps.infra.models import IdentityPurpose, Server, ServerStatus, SshIdentity
from apps.infra.servers import ServerWords
from tests.factories import make_server, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43
KEY, OTHER_KEY = (make_key_pair().private_key for _ in range(2))


def words(**changes: Any) -> ServerWords:
    fields: dict[str, Any] = {
        "name": "berlin",
        "host": "203.0.113.9",
        "ssh_port": 22,
        "ssh_user": "deploy",
        "host_key": HOST_KEY,
        "port_range_start": 8_000,
        "port_range_end": 8_100,
        "identity": KEY,
        **changes,
    }
    return ServerWords(**fields)


def deploy_key(server: Server) -> str:
    found = find_installed(server_id=server.pk, purpose=IdentityPurpose.DEPLOY)
    return found.private_key if found else ""


def test_a_server_is_added_ready_for_deployments() -> None:
    server_id = servers.save_server(server_id=None, words=words(identity=KEY.strip().replace("\n", "\r\n")))

    server = Server.objects.get(pk=server_id)
    assert (server.kind, server.status, deploy_key(server)) == ("ssh", ServerStatus.ACTIVE, KEY)


def test_an_empty_key_keeps_the_one_that_is_stored() -> None:
    server_id = servers.save_server(server_id=None, words=words())

    servers.save_server(server_id=server_id, words=words(host="203.0.113.10", identity=""))

    server = Server.objects.get(pk=server_id)
    assert (server.host, deploy_key(server)) == ("203.0.113.10", KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("host", "203.0.113.9; rm -rf /"),
        ("host", "-oProxyCommand=x"),
        ("ssh_port", 0),
        ("ssh_user", "root; id"),
        ("host_key", "AAAA"),
        ("host_key", "ssh-ed25519 " + "A" * 68),
        ("identity", "sesame"),
        ("admin_identity", "sesame"),
        ("admin_user", "root; id"),
        ("admin_password", "se\nsame"),
        ("port_range_start", 80),
        ("port_range_start", 9_000),
    ],
)
def test_what_cannot_be_used_is_refused_without_showing_a_key(field: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        servers.save_server(server_id=None, words=words(**{field: value}))

    assert list(refused.value.details) == [field]
    assert "sesame" not in f"{refused.value} {refused.value.details}"


def test_one_that_we_shall_set_up_waits_until_somebody_asks_for_it() -> None:
    said = words(ssh_user="", host_key="", identity="", needs_setup=True, admin_identity=KEY)

    server_id = servers.save_server(server_id=None, words=said)

    admin = find_installed(server_id=server_id, purpose=IdentityPurpose.ADMIN)
    assert Server.objects.get(pk=server_id).status == ServerStatus.DISCOVERED
    assert admin is not None
    assert (admin.private_key, admin.public_key.split()[0]) == (KEY, "ssh-ed25519")


def test_a_newer_key_retires_the_one_before() -> None:
    server_id = servers.save_server(server_id=None, words=words())

    servers.save_server(server_id=server_id, words=words(identity=OTHER_KEY))

    kept = dict(SshIdentity.objects.filter(server_id=server_id).values_list("private_key", "status"))
    assert kept == {KEY: "retired", OTHER_KEY: "installed"}


def test_a_name_is_given_once() -> None:
    servers.save_server(server_id=None, words=words())

    with pytest.raises(Invalid):
        servers.save_server(server_id=None, words=words())


def test_this_machines_row_is_not_changed_by_hand() -> None:
    local = make_server(host="127.0.0.1")

    servers.save_server(server_id=local.pk, words=words(name="other"))

    assert local.reload().host == "127.0.0.1"


def test_an_operator_adds_and_changes_one_in_the_admin() -> None:
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    form = {name: getattr(words(), name) for name in ServerWords.__dataclass_fields__ if name != "identity"}

    added = client.post("/admin/infra/server/add/", {**form, "new_identity": KEY})
    server = Server.objects.get(name="berlin")
    page = f"/admin/infra/server/{server.pk}/change/"
    changed = client.post(page, {**form, "host": "203.0.113.77", "new_identity": ""})
    refused = client.post(page, {**form, "host_key": "AAAA"})

    assert (added.status_code, changed.status_code, refused.status_code) == (302, 302, 200)
    server.refresh_from_db()
    assert (server.host, deploy_key(server)) == ("203.0.113.77", KEY)
    assert KEY.splitlines()[2] not in client.get(page).content.decode()
