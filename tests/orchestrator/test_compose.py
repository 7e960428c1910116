"""What `docker compose` makes of our file, asked of the program itself: who runs, reaches and knows what."""

import json
import os
import re
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.fernet import Fernet

from orchestrator.env import ROOT, env
from orchestrator.stack.table import QUEUES

pytestmark = pytest.mark.unit

COMPOSE: Final = Path(sys.executable).with_name("docker-compose")
Service = dict[str, Any]

#: Everything that may be set and must be known to some only, with a value that is found again.
SECRETS: Final = {
    name: f"canary-{name.lower().replace('_', '-')}"
    for name in (
        *("SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "BROKER_PASSWORD", "CHANNEL_PASSWORD"),
        *("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "FACTORY_API_KEY", "GITHUB_APP_PRIVATE_KEY"),
        *("GITHUB_WEBHOOK_SECRET", "TELEGRAM_BOT_TOKEN", "TELEGRAM_BOT_TOKENS_POOL"),
        "TIME4VPS_PASSWORD",
    )
}
#: Settings that a container is not given, each with its reason.
NOT_HANDED_ON: Final = {
    "GITHUB_APP_PRIVATE_KEY_PATH": "a file of the host; GITHUB_APP_PRIVATE_KEY is the key itself",
    "INFRA_PORT_RANGE_START": "of the local target, which is off",
    "INFRA_PORT_RANGE_END": "of the local target, which is off",
    "WORKERS_EXTRA_CA_DIR": "the image brings what its build was given",
    "WORKERS_HOST_SESSION_DIRS": "directories of the host, which no process of ours sees",
    "WORKERS_TOOLS_DIRS": "of workers that run as processes",
}
DJANGO: Final = frozenset({"SECRET_KEY", "ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "BROKER_PASSWORD"})
CHAT: Final = frozenset({"TELEGRAM_BOT_TOKEN", "TELEGRAM_BOT_TOKENS_POOL"})
AGENTS: Final = frozenset({"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "FACTORY_API_KEY"})
#: Who knows which secret; who is not named knows those of every Django process and no other.
KNOWS: Final = {
    "postgres": {"POSTGRES_PASSWORD"},
    "broker": {"BROKER_PASSWORD"},
    "channel": {"CHANNEL_PASSWORD"},
    "edge": set(),
    "workers-edge": set(),
    "flower": {"BROKER_PASSWORD"},
    "web": DJANGO | CHAT | {"CHANNEL_PASSWORD", "GITHUB_WEBHOOK_SECRET"},
    "bot": DJANGO | CHAT,
    "bot-messages": DJANGO | CHAT,
    "scaffold": DJANGO | {"GITHUB_APP_PRIVATE_KEY"},
    "provision": DJANGO | {"TIME4VPS_PASSWORD"},
    "servers": DJANGO | {"TIME4VPS_PASSWORD"},
    "workers": DJANGO | AGENTS | {"CHANNEL_PASSWORD"},
    "ingest": DJANGO | {"CHANNEL_PASSWORD"},
}
#: Who is on which network; who is not named is on "storage" alone.
NETWORKS: Final = {
    "channel": {"channel"},
    "edge": {"front"},
    "workers-edge": set(),
    "web": {"storage", "channel", "outside"},
    "workers": {"storage", "channel"},
    "ingest": {"storage", "channel"},
    **{name: {"storage", "outside"} for name in ("scaffold", "provision", "servers", "hooks")},
    **{name: {"storage", "outside"} for name in ("bot", "bot-messages")},
}


@cache
def composed(**given: str) -> dict[str, Any]:
    """What the program says of the file, with the least that must be set and with what is given."""
    required = {name: SECRETS[name] for name in (*DJANGO, "CHANNEL_PASSWORD")} | {"DOCKER_GID": "990"}
    ended = ask("config", "--format", "json", **{**required, **given})
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def ask(*words: str, file: str = "/dev/null", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run compose as someone who has nothing but this file; needs no daemon."""
    return subprocess.run(
        [COMPOSE, "--file", ROOT / "docker-compose.yml", "--env-file", file, *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def services(**given: str) -> dict[str, Service]:
    found: dict[str, Service] = composed(**given)["services"]
    return found


def ours() -> dict[str, Service]:
    """Return the services of our own image."""
    return {name: one for name, one in services().items() if one["image"].startswith("codegen-orchestrator:")}


def sources(service: Service) -> set[str]:
    return {volume["source"] for volume in service.get("volumes", [])}


def probe_of(service: Service) -> list[str]:
    """Return the command that says whether a service is ready."""
    found: list[str] = service.get("healthcheck", {}).get("test", [])
    return found


def test_whatever_is_required_and_missing_is_named() -> None:
    ended = ask("config", "--quiet")

    assert ended.returncode != 0
    assert re.search(r"set \w+ in \.env", ended.stderr)


def test_the_example_of_an_environment_is_one(tmp_path: Path) -> None:
    file = tmp_path / "env"
    made = subprocess.run([ROOT / "scripts" / "compose_env", file], capture_output=True, text=True)
    values = dict(line.split("=", 1) for line in file.read_text().splitlines())
    again = subprocess.run([ROOT / "scripts" / "compose_env", file], capture_output=True, text=True)

    ended = ask("config", "--quiet", file=str(file), **({} if values["DOCKER_GID"] else {"DOCKER_GID": "1"}))

    assert (made.returncode, ended.returncode, again.returncode) == (0, 0, 1), made.stderr + ended.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Fernet(values["ENCRYPTION_KEYS"])
    assert len(set(values.values())) == len(values)
    assert all(re.fullmatch(r"[\w-]{43}", values[f"{name}_PASSWORD"]) for name in ("POSTGRES", "BROKER"))


def test_every_queue_has_one_process_of_its_own() -> None:
    commands = [service.get("command") or [] for service in services().values()]

    served = [command[command.index("-Q") + 1] for command in commands if "-Q" in command]

    assert sorted(served) == sorted(queue for queues in QUEUES.values() for queue in queues)


def test_programs_exist() -> None:
    commands = [*(one["command"] for one in ours().values()), *map(probe_of, ours().values())]
    words = [word for command in commands for word in command]
    modules = {word for word in words if re.fullmatch(r"orchestrator(\.\w+)+", word)}

    paths = [ROOT.joinpath(*name.split(".")) for name in modules]

    assert modules >= {f"orchestrator.{name}" for name in ("celery", "edge", "edge.front", "probe")}
    assert all(path.with_suffix(".py").is_file() or (path / "__main__.py").is_file() for path in paths)


def test_everybody_says_whether_it_is_ready_but_who_ends() -> None:
    silent = {name for name, service in services().items() if "healthcheck" not in service}

    assert silent == {"migrate"}


@pytest.mark.parametrize("name", ["postgres", "broker", "channel", "web"])
def test_readiness_is_an_answer_and_no_process_number(name: str) -> None:
    test = " ".join(services()[name]["healthcheck"]["test"])

    assert re.search("pg_isready|ping|/health/ready", test)


def test_whoever_needs_the_servers_waits_for_them_and_for_the_migrations() -> None:
    waits = {name: one.get("depends_on", {}) for name, one in ours().items()}

    django = {name for name in waits if KNOWS.get(name, DJANGO) >= DJANGO} - {"migrate"}

    assert all(waits[name]["migrate"]["condition"] == "service_completed_successfully" for name in django)
    assert {one["condition"] for name in django for one in waits[name].values()} == {
        "service_healthy",
        "service_completed_successfully",
    }
    assert all({"postgres", "broker", "channel"} <= waits[name].keys() for name in django)


def test_the_edge_alone_publishes_a_port_on_loopback_unless_told_otherwise() -> None:
    published = {name: one["ports"] for name, one in services().items() if one.get("ports")}
    told = services(EDGE_LISTEN="0.0.0.0:443")["edge"]["ports"]

    assert [(port["host_ip"], port["published"]) for port in published.pop("edge")] == [("127.0.0.1", "8000")]
    assert published == {}
    assert [(port["host_ip"], port["published"]) for port in told] == [("0.0.0.0", "443")]


def test_workers_edge_alone_has_the_host_s_network() -> None:
    assert [name for name, one in services().items() if one.get("network_mode")] == ["workers-edge"]


def test_networks_keep_apart_who_has_no_business_with_each_other() -> None:
    on = {name: set(one.get("networks") or {}) for name, one in services().items()}
    on["workers-edge"].discard("default")

    internal = {name for name, network in composed()["networks"].items() if network.get("internal")}

    assert on == {name: NETWORKS.get(name, {"storage"}) for name in on}
    assert internal == {"storage", "channel"}


@pytest.mark.parametrize("name", sorted(services()))
def test_nobody_has_more_of_the_machine_than_it_needs(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("cap_add")
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]


def test_nobody_is_root() -> None:
    users = {name: one.get("user") for name, one in services().items() if name not in ours()}
    image = (ROOT / "Dockerfile").read_text().splitlines()

    assert users == {"postgres": "postgres", "broker": "valkey", "channel": "valkey"}
    assert [line for line in image if line.startswith("USER ")] == ["USER orchestrator"]
    assert not any("user" in one for one in ours().values())


@pytest.mark.parametrize("name", sorted(services()))
def test_a_secret_is_known_to_those_who_use_it(name: str) -> None:
    words = json.dumps(services(**SECRETS)[name].get("environment") or {})

    known = {secret for secret, value in SECRETS.items() if value in words}

    assert known == KNOWS.get(name, DJANGO)


def test_no_secret_stands_in_a_command_line_or_a_label() -> None:
    rest = [{**one, "environment": None} for one in services(**SECRETS).values()]

    assert not [value for value in SECRETS.values() if value in json.dumps(rest)]


def test_those_who_lack_a_secret_are_told_that_there_is_one() -> None:
    told = services(**SECRETS)["graph"]["environment"]["SECRETS_ELSEWHERE"]
    untold = services()["graph"]["environment"]["SECRETS_ELSEWHERE"]

    assert {name for name in told.split(",") if name} == AGENTS | {"TELEGRAM_BOT_TOKEN"}
    assert untold == ""


def test_who_summarises_documents_knows_a_model_s_key_only_if_there_is_one() -> None:
    asked = services(**SECRETS, DOCUMENTS_SUMMARY_MODEL="anthropic/some")
    unasked = services(**SECRETS)

    assert asked["scaffold"]["environment"]["ANTHROPIC_API_KEY"] == SECRETS["ANTHROPIC_API_KEY"]
    assert unasked["scaffold"]["environment"]["ANTHROPIC_API_KEY"] == ""
    # A process with the one and without the other refuses to start.
    assert [
        name for name, one in asked.items() if "DOCUMENTS_SUMMARY_MODEL" in one.get("environment", {})
    ] == ["scaffold"]


def test_only_those_who_need_the_docker_socket_have_it() -> None:
    has_socket = {name for name, one in services().items() if "/var/run/docker.sock" in sources(one)}

    assert has_socket == {"build", "workers", "ingest"}
    assert {name for name, one in services().items() if one.get("group_add")} == has_socket


def test_who_speaks_to_strangers_has_no_files_of_ours() -> None:
    has_files = {name for name, one in services().items() if "data" in sources(one)}

    assert not has_files & {"hooks", "edge", "workers-edge", "flower", "beat", "migrate"}


def test_a_socket_is_seen_by_both_its_ends_only() -> None:
    ends = {
        volume: {name for name, one in services().items() if volume in sources(one)}
        for volume in composed()["volumes"]
        if volume.endswith("-socket")
    }

    assert ends == {
        "web-socket": {"web", "edge", "workers-edge"},
        "flower-socket": {"web", "flower"},
        "channel-socket": {"channel", "workers-edge"},
    }


def test_every_setting_reaches_somebody() -> None:
    given = {name for one in services().values() for name in one.get("environment") or {}}

    assert sorted(env.asked - given) == sorted(NOT_HANDED_ON)


def test_a_value_of_the_environment_file_arrives(tmp_path: Path) -> None:
    file = tmp_path / "env"
    required = {name: SECRETS[name] for name in (*DJANGO, "CHANNEL_PASSWORD")}
    lines = {**required, "DOCKER_GID": "1", "WORKERS_MAX_CONCURRENT": "3", "TELEGRAM_BOT_TOKEN": "1:a"}
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    ended = ask("config", "--format", "json", file=str(file))

    found = json.loads(ended.stdout)["services"]
    assert found["graph"]["environment"]["WORKERS_MAX_CONCURRENT"] == "3"
    assert found["bot"]["environment"]["TELEGRAM_BOT_TOKEN"] == "1:a"
    assert found["graph"]["environment"]["SECRETS_ELSEWHERE"] == "TELEGRAM_BOT_TOKEN,"


def test_images_are_pinned_and_can_be_others() -> None:
    others = services(POSTGRES_IMAGE="p:1", VALKEY_IMAGE="v:1", ORCHESTRATOR_TAG="t1")
    pinned = [services()[name]["image"] for name in ("postgres", "broker", "channel")]

    assert all(re.search(r":\d+\.\d+(\.\d+)?-bookworm$", image) for image in pinned)
    assert [others[name]["image"] for name in ("postgres", "broker", "channel")] == ["p:1", "v:1", "v:1"]
    assert others["web"]["image"] == "codegen-orchestrator:t1"
    assert services(PYTHON_IMAGE="b:1")["web"]["build"]["args"]["PYTHON_IMAGE"] == "b:1"
