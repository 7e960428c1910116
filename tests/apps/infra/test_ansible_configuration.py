"""Which configuration Ansible obeys, whatever lies about."""

from pathlib import Path

import pytest

from apps.infra import ansible, ansible_configuration, starting
from apps.infra.ansible_configuration import differences, loaded, problems
from apps.infra.models import Incident
from orchestrator import doctor


class FakeQueues:
    """Celery's queues of one worker."""

    def __init__(self, *names: str) -> None:
        self.consume_from = list(names)

    def deselect(self, exclude: str) -> None:
        self.consume_from.remove(exclude)


@pytest.mark.integration
def test_neither_a_strangers_variable_nor_a_strangers_file_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    foreign = tmp_path / "ansible.cfg"
    foreign.write_text("[defaults]\nhost_key_checking = False\nroles_path = /tmp\n")
    (tmp_path / ".ansible.cfg").write_text(foreign.read_text())
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "ANSIBLE_CONFIG": str(foreign),
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_SSH_HOST_KEY_CHECKING": "False",
        "ANSIBLE_PIPELINING": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "True",
        "ANSIBLE_REMOTE_TMP": "/tmp",
        "ANSIBLE_ROLES_PATH": "/tmp",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)

    assert problems() == []


@pytest.mark.integration
def test_a_file_of_ours_that_says_something_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "ansible.cfg"
    other.write_text("[defaults]\nhost_key_checking = False\n")
    monkeypatch.setattr(ansible, "CONFIGURATION", other)

    said = loaded()
    monkeypatch.setattr(ansible_configuration, "CONFIGURATION", other)
    found = list(differences(said))

    assert said["file"] == str(other)
    assert found[0].startswith("Ansible has host_key_checking = False from ")
    assert any("pipelining = False from default" in line for line in found)


@pytest.mark.unit
def test_a_configuration_from_elsewhere_is_named_and_nothing_else():
    found = list(differences({"file": "/etc/ansible/ansible.cfg", "pipelining": [False, "default"]}))

    assert found == [
        f"Ansible has read /etc/ansible/ansible.cfg instead of {ansible.CONFIGURATION}; remove that file."
    ]


@pytest.mark.unit
def test_what_anybody_may_write_to_is_named_with_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles").chmod(0o777)
    monkeypatch.setattr(ansible_configuration, "PLAYBOOKS", tmp_path)
    monkeypatch.setattr(ansible_configuration, "loaded", lambda: {"file": "elsewhere"})

    found = problems()

    assert found[0] == f"Anybody may write to {tmp_path}/roles; chmod o-w {tmp_path}/roles"
    assert found[-1].startswith("Ansible has read elsewhere")


@pytest.mark.unit
def test_the_doctor_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ansible_configuration, "problems", lambda: ["Anybody may write to it; chmod o-w it"])

    line = doctor._ansible().line()

    assert line == "RED  ansible: Anybody may write to it → chmod o-w it"


@pytest.mark.service
@pytest.mark.django_db
def test_a_worker_of_many_queues_leaves_set_ups_alone_and_tells_until_it_is_repaired():
    queues, repaired = FakeQueues("provision", "servers"), FakeQueues("provision")

    starting.refuse_foreign_configuration(queues, problems=lambda: ["chmod o-w it"])
    told = Incident.objects.get(kind="ansible_configuration")
    starting.refuse_foreign_configuration(repaired, problems=lambda: [])

    assert (queues.consume_from, repaired.consume_from) == (["servers"], ["provision"])
    assert (told.status, told.severity, "chmod o-w it" in told.message) == ("open", "critical", True)
    assert told.reload().status == "resolved"


@pytest.mark.service
@pytest.mark.django_db
def test_a_worker_of_set_ups_alone_does_not_start():
    with pytest.raises(SystemExit) as left:
        starting.refuse_foreign_configuration(FakeQueues("provision"), problems=lambda: ["chmod o-w it"])

    assert left.value.code == 1
    assert Incident.objects.get().details == {"problems": ["chmod o-w it"]}


@pytest.mark.unit
def test_a_worker_of_other_queues_does_not_ask():
    asked: list[str] = []

    starting.refuse_foreign_configuration(
        FakeQueues("servers"), problems=lambda: asked.append("asked") or ["wrong"]
    )

    assert asked == []
