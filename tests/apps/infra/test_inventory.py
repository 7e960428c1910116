"""What Ansible is given: one server, by one key, under one host key, in files for this account alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.infra import inventory
from apps.infra.inventory import Files, PlaybookJob

pytestmark = pytest.mark.unit


def job(**fields: Any) -> PlaybookJob:
    defaults: dict[str, Any] = {
        "playbook": "setup.yml",
        "host": "2001:db8::7",
        "port": 2222,
        "user": "root",
        "host_key": "ssh-ed25519 AAAA",
        "private_key": "PRIVATE",
        "marker": "test",
        "variables": {"password": "hushhush"},
    }
    return PlaybookJob(**{**defaults, **fields})


def test_a_server_is_addressed_as_it_is_whatever_its_address_looks_like(tmp_path: Path) -> None:
    files = Files(root=tmp_path)

    inventory.write(files, job())

    host = json.loads(files.inventory.read_text())["servers"]["hosts"]["server"]
    assert (host["ansible_host"], host["ansible_port"]) == ("2001:db8::7", 2222)
    assert host["ansible_python_interpreter"] == "/usr/bin/python3"
    assert files.known_hosts.read_text() == "server ssh-ed25519 AAAA\n"


def test_everything_written_is_for_this_account_alone(tmp_path: Path) -> None:
    files = Files(root=tmp_path)

    inventory.write(files, job())

    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 4
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_a_changed_host_key_is_refused_and_no_password_is_tried(tmp_path: Path) -> None:
    options = inventory.ssh_arguments(Files(root=tmp_path))

    assert "-F /dev/null" in options
    assert "StrictHostKeyChecking=yes" in options
    assert "PasswordAuthentication=no" in options


@pytest.mark.parametrize(("user", "becomes"), [("root", False), ("admin", True)])
def test_whoever_is_not_root_becomes_it(tmp_path: Path, user: str, becomes: bool) -> None:
    made = inventory.inventory_of(job(user=user), Files(root=tmp_path))

    assert made["servers"]["hosts"]["server"]["ansible_become"] is becomes


def test_a_place_too_deep_for_a_socket_goes_without_a_shared_connection() -> None:
    options = inventory.ssh_arguments(Files(root=Path("/" + "deep/" * 30)))

    assert "ControlPath" not in options


def test_secrets_are_in_no_representation() -> None:
    text = repr(job())

    assert "PRIVATE" not in text
    assert "hushhush" not in text
