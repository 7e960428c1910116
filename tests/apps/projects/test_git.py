"""Git runs bounded, without anybody's configuration, and its failures are typed."""

import os
import time
from pathlib import Path

import pytest

from apps.errors import Invalid
from apps.projects import git, objects
from apps.projects.git import Git, GitLimits
from apps.projects.git_names import check_branch, check_sha
from tests.fakes_forge import MOMENT, GitSource

pytestmark = pytest.mark.unit


@pytest.fixture
def source(tmp_path: Path) -> GitSource:
    return GitSource(tmp_path / "source.git")


def aliased(source: GitSource, command: str, limits: GitLimits) -> Git:
    """Git that runs a shell command when asked for `probe`."""
    return Git(repository=source.path, limits=limits, settings=(f"alias.probe=!{command}",))


def alive(marker: Path) -> bool:
    try:
        os.kill(int(marker.read_text()), 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{marker.read_text().strip()}/stat").read_text().split(")")[1].split()[0] != "Z"


def test_configuration_of_the_user_does_not_apply(
    source: GitSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Somebody\n[core]\n\thooksPath = /tmp\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Somebody")

    listing = source.git.text("config", "--list")

    assert "Somebody" not in listing
    assert listing.splitlines().count("core.hookspath=/dev/null") == 1


def test_environment_of_the_process_is_not_passed_on(
    source: GitSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "sesame")

    listing = aliased(source, "env", GitLimits()).text("probe")

    assert "LC_ALL=C" in listing
    assert "sesame" not in listing


def test_hooks_do_not_run(source: GitSource, tmp_path: Path) -> None:
    hook = source.path / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)

    source.branch("main", source.commit_files({"a": b"a"}))

    assert not (tmp_path / "ran").exists()


def test_slow_git_is_killed_with_its_children(source: GitSource, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    probe = aliased(source, f"sleep 60 & echo $! > {marker}; wait", GitLimits(timeout_seconds=1))
    started = time.monotonic()

    with pytest.raises(git.GitTimeout) as failure:
        probe.run("probe")

    assert failure.value.error_code == "git_timeout"
    assert time.monotonic() - started < 10
    for _ in range(100):
        if not alive(marker):
            break
        time.sleep(0.05)
    assert not alive(marker)


def test_endless_output_is_cut_off(source: GitSource) -> None:
    probe = aliased(source, "yes", GitLimits(output_bytes=100_000, timeout_seconds=20))

    with pytest.raises(git.GitOutputTooLarge) as failure:
        probe.run("probe")

    assert failure.value.details == {"limit_bytes": 100_000}


def test_endless_errors_are_kept_short(source: GitSource) -> None:
    probe = aliased(source, "head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 3", GitLimits())

    with pytest.raises(git.GitFailed) as failure:
        probe.run("probe")

    assert failure.value.details["exit_code"] == 3
    assert len(failure.value.message) < 3_000


def test_memory_processor_and_file_limits_are_told_apart_from_failures(
    source: GitSource, tmp_path: Path
) -> None:
    for command in ("while :; do :; done", f"head -c 9000000 /dev/zero > {tmp_path}/big"):
        probe = aliased(source, command, GitLimits(cpu_seconds=1, file_bytes=1_000_000, timeout_seconds=20))

        with pytest.raises(git.GitLimitExceeded):
            probe.run("probe")

    assert (tmp_path / "big").stat().st_size <= 1_000_000


def test_failure_is_redacted(source: GitSource) -> None:
    line = "fatal: https://user:sesame@host/x Authorization: Basic sesame"
    probe = aliased(source, f"printf '%s\\033[31m' '{line}' >&2; exit 1", GitLimits())

    with pytest.raises(git.GitFailed) as failure:
        probe.run("probe")

    assert "https://***@host/x" in failure.value.message
    assert "sesame" not in failure.value.message + str(failure.value.details)
    assert "\033" not in failure.value.message


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded"])
def test_full_disk_is_unavailable(source: GitSource, words: str) -> None:
    probe = aliased(source, f"echo 'fatal: write error: {words}' >&2; exit 128", GitLimits())

    with pytest.raises(git.DiskFull) as failure:
        probe.run("probe")

    assert failure.value.error_code == "disk_full"


def test_really_full_disk_is_unavailable(source: GitSource) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("there is no device that is always full")

    with pytest.raises(git.DiskFull) as failure, open("/dev/full", "r+b", buffering=0) as full:
        aliased(source, "cat /proc/self/status", GitLimits()).run("probe", stdout=full)

    assert failure.value.error_code == "disk_full"


def test_missing_git_is_unavailable(source: GitSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(git.GitMissing) as failure:
        source.git.text("version")

    assert failure.value.error_code == "git_missing"


def test_network_protocols_are_refused(source: GitSource) -> None:
    with pytest.raises(git.GitFailed) as failure:
        source.git.run("ls-remote", "https://127.0.0.1:1/x.git")

    assert "not allowed" in failure.value.message


@pytest.mark.parametrize("sha", ["", "HEAD", "-" * 40, "A" * 40, "a" * 39, "a" * 41, "a" * 40 + "\n"])
def test_what_is_no_commit_id_is_refused(sha: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_sha(sha)

    assert refused.value.error_code == "bad_sha"


def test_ordinary_names_pass() -> None:
    names = ["main", "task/12", "feature_x/y.z"]

    assert [check_branch(name) for name in names] == names
    assert check_sha("0" * 40) == "0" * 40


def test_commit_of_a_directory_is_the_same_twice(source: GitSource, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "main.py").write_text("pass\n")
    (directory / "run").write_text("#!/bin/sh\n")
    (directory / "run").chmod(0o755)
    (directory / ".gitignore").write_text("*.log\n")
    (directory / "ignored.log").write_text("x")
    (directory / "link").symlink_to("run")

    made = [
        objects.commit_directory(source.git, directory, message="Initial commit", authored_at=MOMENT)
        for _ in range(2)
    ]

    assert made[0] == made[1]
    modes = {entry.path: entry.mode for entry in objects.list_tree(source.git, made[0])}
    assert modes == {b".gitignore": "100644", b"app/main.py": "100644", b"link": "120000", b"run": "100755"}
    assert sorted(p.name for p in directory.iterdir()) == [".gitignore", "app", "ignored.log", "link", "run"]


def test_missing_object_is_not_found(source: GitSource) -> None:
    with pytest.raises(objects.ObjectNotFound):
        objects.object_sizes(source.git, ["1" * 40])
    with pytest.raises(objects.ObjectNotFound):
        list(objects.read_objects(source.git, ["1" * 40]))
    assert not objects.has_commit(source.git, "1" * 40)
