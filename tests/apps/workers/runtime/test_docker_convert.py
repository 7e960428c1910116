"""A spec in the words of the Docker SDK, and the daemon's answers in ours."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.workers.runtime import base, docker_convert
from apps.workers.runtime.docker_convert import Place, run_keywords, state_of

pytestmark = pytest.mark.unit

PLACE = Place(
    installation="i",
    default_image="base:1",
    proxy_url="http://172.19.0.1:7313",
    no_proxy="172.19.0.1",
    environment={"PIP_INDEX_URL": "https://mirror/simple"},
)


def spec(**fields: Any) -> base.ContainerSpec:
    return base.ContainerSpec(
        **{"name": "worker-1", "command": ("sh", "-c", "true"), "deadline_seconds": 60, **fields}
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, {"image": "base:1", "name": "worker-1", "user": "1000:1000", "working_dir": "/workspace"}),
        ({"image": "own:2"}, {"image": "own:2"}),
        # Hardened by default.
        ({}, {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "read_only": True}),
        ({}, {"mem_limit": 2 * 1024**3, "memswap_limit": 2 * 1024**3, "nano_cpus": 10**9, "pids_limit": 256}),
        (
            {"memory_bytes": 512 * 1024**2, "cpus": 0.5, "pids_limit": 32, "read_only_root": False},
            {"mem_limit": 512 * 1024**2, "nano_cpus": 500_000_000, "pids_limit": 32, "read_only": False},
        ),
        ({"temporary_bytes": 5}, {"tmpfs": {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=5"}}),
        # Who is the first process, and who ends it.
        (
            {"stop_grace_seconds": 2.5},
            {
                "init": True,
                "entrypoint": ["timeout"],
                "command": ["--kill-after=2.5", "60", "sh", "-c", "true"],
                "healthcheck": {"test": ["NONE"]},
            },
        ),
        ({"own_init": True}, {"init": False, "entrypoint": ["sh"], "command": ["-c", "true"]}),
        # A check of the image would show the agent the wrapper's environment.
        ({"own_init": True}, {"healthcheck": {"test": ["NONE"]}}),
        # Where it may go.
        ({"network": base.Network.NONE}, {"network_mode": "none"}),
        ({"network": base.Network.INTERNAL}, {"network": "codegen-i", "dns": ["127.0.0.1"]}),
        ({"network": base.Network.EGRESS}, {"network": "codegen-i", "dns": ["127.0.0.1"]}),
    ],
)
def test_spec_in_the_words_of_the_sdk(fields: dict[str, Any], words: dict[str, Any]) -> None:
    keywords = run_keywords(spec(**fields), PLACE)

    assert {name: keywords[name] for name in words} == words


@pytest.mark.parametrize(
    ("fields", "present", "absent"),
    [
        ({}, {"HOME": "/home/worker", "TMPDIR": "/tmp", "INPUT_DIR": "/inputs"}, {"HTTPS_PROXY"}),
        (
            {"network": base.Network.EGRESS},
            {"https_proxy": "http://172.19.0.1:7313", "PIP_INDEX_URL": "https://mirror/simple"},
            {"CONTAINER_DEADLINE_SECONDS"},
        ),
        ({"network": base.Network.NONE}, {"WORKSPACE_DIR": "/workspace"}, {"HTTPS_PROXY"}),
        ({"own_init": True}, {"CONTAINER_DEADLINE_SECONDS": "60"}, set()),
        ({"environment": {"HOME": "/elsewhere"}}, {"HOME": "/elsewhere"}, set()),
    ],
)
def test_variables(fields: dict[str, Any], present: dict[str, str], absent: set[str]) -> None:
    variables = run_keywords(spec(**fields), PLACE)["environment"]

    assert {name: variables[name] for name in present} == present
    assert not absent & variables.keys()


def test_without_a_proxy_there_is_no_way_out() -> None:
    variables = run_keywords(spec(network=base.Network.EGRESS), Place(installation="i"))["environment"]

    assert not [name for name in variables if "proxy" in name.lower()]


def test_volumes_are_fresh_but_a_named_home() -> None:
    fresh = run_keywords(spec(), PLACE)["mounts"]
    kept = run_keywords(spec(home="home-7"), PLACE)["mounts"]

    assert {mount["Target"]: mount["Source"] for mount in fresh} == {
        "/workspace": None,
        "/inputs": None,
        "/home/worker": None,
    }
    assert {mount["Target"]: mount["Source"] for mount in kept}["/home/worker"] == "codegen-i-home-7"
    assert all(mount["VolumeOptions"]["Labels"]["codegen.installation"] == "i" for mount in [*fresh, *kept])


def test_permitted_path_is_bound() -> None:
    mount = base.HostMount(source=Path("/srv/session"), target="/home/worker/.claude", read_only=True)

    bound = run_keywords(spec(mounts=(mount,)), PLACE)["mounts"][-1]

    assert (bound["Type"], bound["Source"], bound["ReadOnly"]) == ("bind", "/srv/session", True)


def test_labels_come_back_as_they_were_given() -> None:
    given = spec(labels={"worker": "1"}, on_exit=("workers.reconcile_worker", {"worker_id": "1"}))

    labels = run_keywords(given, PLACE)["labels"]

    assert docker_convert.own_labels(labels) == {"worker": "1"}
    assert docker_convert.on_exit_of(labels) == given.on_exit
    assert (labels["codegen.installation"], labels["codegen.container"]) == ("i", "worker-1")


def attributes(**state: Any) -> dict[str, Any]:
    return {
        "Name": "/worker-1",
        "Image": "sha256:1",
        "Config": {"Labels": {"codegen.deadline": "60", "codegen.worker": "1"}},
        "State": {
            "Status": "exited",
            "Running": False,
            "Paused": False,
            "OOMKilled": False,
            "ExitCode": 0,
            "StartedAt": "2026-01-02T03:04:05.123456789Z",
            "FinishedAt": "2026-01-02T03:05:05.2Z",
            **state,
        },
    }


@pytest.mark.parametrize(
    ("state", "phase", "exit_code", "timed_out"),
    [
        ({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"}, base.Phase.CREATED, None, False),
        ({"Status": "running", "Running": True}, base.Phase.RUNNING, None, False),
        ({"Status": "restarting", "Running": True}, base.Phase.RUNNING, None, False),
        ({"Status": "paused", "Running": True, "Paused": True}, base.Phase.PAUSED, None, False),
        ({"ExitCode": 3}, base.Phase.EXITED, 3, False),
        ({"ExitCode": 124}, base.Phase.EXITED, 124, True),
        ({"ExitCode": 137}, base.Phase.EXITED, 137, True),
        ({"ExitCode": 124, "FinishedAt": "2026-01-02T03:04:10Z"}, base.Phase.EXITED, 124, False),
        ({"Status": "dead", "ExitCode": 137, "FinishedAt": "2026-01-02T03:04:10Z"}, "exited", 137, False),
    ],
)
def test_state_says_what_the_daemon_said(
    state: dict[str, Any], phase: base.Phase, exit_code: int | None, timed_out: bool
) -> None:
    found = state_of(attributes(**state))

    assert (found.phase, found.exit_code, found.timed_out) == (phase, exit_code, timed_out)
    assert (found.name, found.image, found.labels) == ("worker-1", "sha256:1", {"worker": "1"})


def test_moments_have_their_zone() -> None:
    found = state_of(attributes(OOMKilled=True))

    assert found.started_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert found.oom_killed is True
