"""Stand-ins for what a deployment needs: base images, a server behind ssh, a git host to report to."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import docker
import pytest
from docker.errors import ImageNotFound

BASE: Final = "codegen-debian:bookworm"
_CERTIFICATES: Final = Path("/usr/local/share/ca-certificates")
_PYTHON: Final = f"""\
FROM {BASE}
COPY ca /usr/local/share/ca-certificates
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \\
    && update-ca-certificates && ln -s python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"""
_START: Final = """\
#!/bin/sh
set -e
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    umask 077
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata=$data --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 \\
        --encoding=UTF8 >/dev/null
    echo 'host all all all scram-sha-256' >>$data/pg_hba.conf
    pg_ctl --pgdata=$data --wait --options="-c listen_addresses=" start >/dev/null
    PGPASSWORD=$POSTGRES_PASSWORD createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --pgdata=$data --wait stop >/dev/null
fi
exec postgres -D $data -c listen_addresses='*'
"""
_POSTGRES: Final = f"""\
FROM {BASE}
RUN groupadd --gid 999 postgres && useradd --uid 999 --gid 999 --home-dir /var/lib/postgresql postgres \\
    && apt-get update && apt-get install -y --no-install-recommends postgresql-15 \\
    && install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data
COPY start /usr/local/bin/start
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin
CMD ["sh", "/usr/local/bin/start"]
"""
#: Runs what it is told on this machine, as the server's account would.
SSH: Final = """\
#!/bin/sh
# ssh -F CONFIG server COMMAND
grep -q '^StrictHostKeyChecking yes' <<CHECK || exit 255
$(sed 's/^ *//' "$2")
CHECK
shift 3
unset RELEASE PORTS WEB_PORT POSTGRES_PASSWORD TELEGRAM_BOT_TOKEN TOKEN
exec sh -c "$*"
"""


def compose() -> str:
    """Return the compose program of this machine, or skip the test."""
    found = shutil.which("docker-compose")
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return "docker compose"
    if found is None:
        pytest.skip("there is no compose on this machine")
    return found


def base_images() -> dict[str, str]:
    """Return stand-ins for the base images by the name of their build argument; made once per machine."""
    engine = docker.DockerClient.from_env(timeout=600, version="auto")
    try:
        engine.images.get(BASE)
    except ImageNotFound:
        pytest.skip(f"the image {BASE} is not here")
    certificates = {f"ca/{path.name}": path.read_bytes() for path in sorted(_CERTIFICATES.glob("*.crt"))}
    made = {
        "PYTHON_IMAGE": _image(engine, "python", _PYTHON, certificates or {"ca/none": b""}),
        "POSTGRES_IMAGE": _image(engine, "postgres", _POSTGRES, {"start": _START.encode()}),
    }
    engine.close()
    return made


def _image(engine: docker.DockerClient, name: str, recipe: str, files: dict[str, bytes]) -> str:
    files = {"Dockerfile": recipe.encode(), **files}
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]
    tag = f"codegen-test-{name}:{digest}"
    try:
        engine.images.get(tag)
    except ImageNotFound:
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        context.seek(0)
        engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
    return tag


def containers_of(engine: docker.DockerClient, slug: str) -> list[Any]:
    """Return the containers of a project's releases, stopped ones too."""
    return engine.containers.list(all=True, filters={"label": f"com.docker.compose.project={slug}"})


def remove_project(engine: docker.DockerClient, slug: str) -> None:
    """Remove whatever the releases of a project left on the engine."""
    for container in containers_of(engine, slug):
        container.remove(force=True, v=True)
    label = {"label": f"com.docker.compose.project={slug}"}
    for volume in engine.volumes.list(filters=label):
        volume.remove(force=True)
    for network in engine.networks.list(filters=label):
        network.remove()
    for image in engine.images.list():
        for tag in image.tags:
            if tag.startswith(f"{slug}-"):
                engine.images.remove(tag, force=True)


class GitHost(ThreadingHTTPServer):
    """Hears about deployments."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _GitHostHandler)
        self.posted: list[dict[str, Any]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _GitHostHandler(BaseHTTPRequestHandler):
    server: GitHost

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(201)
        self.send_header("content-length", "9")
        self.end_headers()
        self.wfile.write(b'{"id": 1}')

    def log_message(self, *_arguments: object) -> None:
        """Keep the tests quiet."""


class Telegram(ThreadingHTTPServer):
    """Knows every bot and has nothing to tell it; containers reach it at the bridge of the engine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), _TelegramHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _TelegramHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        bot = {"id": 1, "is_bot": True, "first_name": "Bot", "username": "test_bot"}
        results = {"getMe": bot, "getUpdates": []}
        result = results.get(self.path.rpartition("/")[2], True)
        content = json.dumps({"ok": True, "result": result}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Keep the tests quiet."""


class Pipeline:
    """Runs the steps of the deploy workflow as its runner would."""

    def __init__(
        self, project: Path, place: Path, *, host: GitHost, images: dict[str, str], port: int
    ) -> None:
        self._project, self._work = project, place / "work"
        self.server = place / "server"
        tools = place / "tools"
        tools.mkdir()
        (tools / "ssh").write_text(SSH)
        (tools / "ssh").chmod(0o755)
        self._environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(place),
            **images,
            "PORTS": json.dumps({"WEB_PORT": port}),
            "DEPLOY_ROOT": str(self.server),
            "DEPLOY_SETTLE_SECONDS": "3",
            "DEPLOY_HEALTH_SECONDS": "120",
            "DEPLOY_HOST": "127.0.0.1",
            "DEPLOY_USER": "deploy",
            "DEPLOY_SSH_KEY": "a key",
            "DEPLOY_HOST_KEY": "ssh-ed25519 AAAA",
            "POSTGRES_PASSWORD": "ab" * 32,
            "TELEGRAM_BOT_TOKEN": "123456:" + "a" * 35,
            "GITHUB_API_URL": f"http://127.0.0.1:{host.server_address[1]}",
            "GITHUB_SERVER_URL": "http://git.example",
            "GITHUB_REPOSITORY": "us/rendered",
            "GITHUB_RUN_ID": "7",
            "CORRELATION": "c-1",
            "TOKEN": "t",
        }

    def deploy(self, sha: str) -> "subprocess.CompletedProcess[str]":
        """Build a commit, bring it to the server and make it live."""
        shutil.rmtree(self._work, ignore_errors=True)
        release = str(self._work / "release")
        self._run(sha, "bash", "deploy/connect.sh", str(self._work / "ssh"))
        self._run(sha, "python3", "-m", "deploy.environment", "release", release)
        self._run(sha, "bash", "deploy/build.sh", sha, f"{release}/images.json")
        self._run(sha, "bash", "deploy/ship.sh", f"{self._work}/ssh/config", sha, release)
        return self.activate(sha)

    def activate(self, sha: str) -> "subprocess.CompletedProcess[str]":
        """Make a release that is on the server live: the step that a rollback starts with."""
        return self._run(sha, "bash", "deploy/go_live.sh", f"{self._work}/ssh/config", sha, check=False)

    def _run(self, sha: str, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command,
            cwd=self._project,
            env={**self._environment, "RELEASE": sha},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done
