"""What of this machine workers are given."""

from pathlib import Path

import pytest

from apps.workers.host_access import DockerSocketRefused, HostSessionRefused, permitted, session_directory
from apps.workers.image_recipe import UnknownCapability

pytestmark = pytest.mark.unit


def test_docker_socket_needs_the_operators_word() -> None:
    allowed = permitted(["Docker", "git"], allow_docker_socket=True)

    with pytest.raises(DockerSocketRefused):
        permitted(["docker"], allow_docker_socket=False)

    assert allowed == ("docker", "git")


def test_unknown_capability_is_refused() -> None:
    with pytest.raises(UnknownCapability):
        permitted(["teleport"], allow_docker_socket=True)


def test_allowed_session_is_found_without_its_links(tmp_path: Path) -> None:
    session = tmp_path / "sessions" / "claude"
    session.mkdir(parents=True)
    (tmp_path / "link").symlink_to(session)

    found = session_directory(str(tmp_path / "link"), [str(tmp_path / "sessions")])

    assert found == str(session)


@pytest.mark.parametrize(
    "wanted", ["secrets", "sessions/escape", "sessions/absent", "sessions/file", "sessions/../secrets"]
)
def test_session_outside_the_allowed_directories_is_refused(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "escape").symlink_to(tmp_path / "secrets")
    (tmp_path / "sessions" / "file").touch()

    with pytest.raises(HostSessionRefused):
        session_directory(str(tmp_path / wanted), [str(tmp_path / "sessions")])


def test_without_a_list_no_session_is_lent(tmp_path: Path) -> None:
    with pytest.raises(HostSessionRefused):
        session_directory(str(tmp_path), [])
