"""A Docker engine for the tests: the one that answers, or one that is installed and started for them.

``python -m scripts.docker_engine prepare`` prints what it found or did and, on its last line, the
environment of the tests as JSON; ``stop`` ends what ``prepare`` started. Nothing system-wide is installed or
started unless DOCKER_START=1 says so, and then only as root on Debian. Another's daemon is left alone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL, SIGTERM

import docker
from docker.errors import DockerException, ImageNotFound

from orchestrator.embedded.places import prepare_var_dir, private_dir, write_private
from orchestrator.embedded.processes import Identity, log_tail, read_json, spawn, stop
from orchestrator.envfile import find_var_dir
from orchestrator.installation import BASE_IMAGE, LOCAL_BASE_IMAGE

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("docker.io", "iptables", "debootstrap", "ca-certificates")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
PULL_SECONDS = 120
#: Of tests: their images are not those of production, whatever either removes.
PREFIX = "codegen-test-worker"
CONTROL_PLANE = "codegen-orchestrator:test"
HINT = "DOCKER_START=1 installs and starts one, as root on Debian"


class NotPossible(Exception):
    """The tests that need Docker cannot run here; the message says why."""


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code: 1 if there is no usable engine."""
    var_dir = prepare_var_dir(find_var_dir(os.environ, ROOT))
    record = private_dir(var_dir / "run") / "dockerd.json"
    if arguments == ["stop"]:
        end(record)
        return 0
    if arguments != ["prepare"]:
        print(__doc__)
        return 2
    try:
        ensure_daemon(record, log=private_dir(record.parent / "logs") / "dockerd.log")
        environment = {"WORKERS_BASE_IMAGE": base_image(), "WORKERS_IMAGE_PREFIX": PREFIX}
        build_images(environment, var_dir)
        build_control_plane(environment["WORKERS_BASE_IMAGE"])
    except NotPossible as error:
        say(f"the tests that need it are skipped: {error}")
        return 1
    print(json.dumps(environment))
    return 0


def say(text: str) -> None:
    """Print one line."""
    print(f"docker: {text}", flush=True)


def version() -> str | None:
    """Return the version of the daemon that answers, None if none does."""
    try:
        client = docker.from_env(timeout=5)
        try:
            return str(client.version()["Version"])
        finally:
            client.close()
    except (DockerException, OSError):
        return None


def ensure_daemon(record: Path, *, log: Path) -> None:
    """Make a daemon answer.

    Args:
        record: where the identity of one that we start is kept.
        log: what it writes.

    Raises:
        NotPossible: none answers and none may or can be started.
    """
    if found := version():
        say(f"daemon {found} answers")
        return
    if os.environ.get("DOCKER_START") != "1":
        raise NotPossible(f"no daemon answers ({HINT})")
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise NotPossible("no daemon answers, and only root on Debian can be given one")
    if shutil.which("dockerd") is None or shutil.which("iptables") is None:
        install()
    environment = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"}
    environment |= {name: value for name, value in os.environ.items() if name.upper().endswith("_PROXY")}
    began = time.monotonic()
    daemon = spawn(("dockerd",), log=log, env=environment, cwd=Path("/"))
    write_private(record, json.dumps(daemon.as_json()))
    while (found := version()) is None:
        if not daemon.is_alive() or time.monotonic() - began > START_SECONDS:
            end(record)
            raise NotPossible(f"the daemon did not start:\n{log_tail(log)}")
        time.sleep(0.2)
    say(f"daemon {found} started in {time.monotonic() - began:.1f} s")


def install() -> None:
    """Install Debian's own engine.

    Raises:
        NotPossible: apt-get failed.
    """
    began = time.monotonic()
    options = ("-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120")
    for command in (("update", "-q"), ("install", *options, *PACKAGES)):
        run("apt-get", *command, environment=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    say(f"installed {', '.join(PACKAGES)} in {time.monotonic() - began:.0f} s")


def base_image() -> str:
    """Return the image to build on: the one here, else pulled, else made of Debian packages.

    Raises:
        NotPossible: there is no way to have one.
    """
    configured = os.environ.get("WORKERS_BASE_IMAGE")
    names = (configured,) if configured else (BASE_IMAGE, LOCAL_BASE_IMAGE)
    client = docker.from_env(timeout=PULL_SECONDS)
    try:
        for name in names:
            if is_here(client, name):
                return name
        began = time.monotonic()
        try:
            client.images.pull(names[0])
        except (DockerException, OSError):
            return make_base_image(names[0])
        say(f"pulled {names[0]} in {time.monotonic() - began:.0f} s")
        return names[0]
    finally:
        client.close()


def is_here(client: docker.DockerClient, name: str) -> bool:
    """Tell whether the daemon has an image."""
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def make_base_image(wanted: str) -> str:
    """Make the image of Debian packages, where that may be done.

    Raises:
        NotPossible: it may not, or it failed.
    """
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise NotPossible(f"{wanted} is neither there nor can it be pulled, and there is no debootstrap")
    began = time.monotonic()
    run(str(ROOT / "scripts" / "base_image"), LOCAL_BASE_IMAGE, environment=dict(os.environ))
    say(f"made {LOCAL_BASE_IMAGE} of Debian packages in {time.monotonic() - began:.0f} s")
    return LOCAL_BASE_IMAGE


def build_images(environment: dict[str, str], var_dir: Path) -> None:
    """Build the images of the workers; what is there already costs nothing.

    Raises:
        NotPossible: a build failed.
    """
    began = time.monotonic()
    settings = {"DJANGO_SETTINGS_MODULE": "orchestrator.settings.lint", "VAR_DIR": str(var_dir)}
    argv = (sys.executable, "manage.py", "build_worker_image", "all", "--quiet")
    printed = run(*argv, environment=os.environ | environment | settings)
    say(f"{len(printed.splitlines())} images of workers are ready ({time.monotonic() - began:.0f} s)")


def build_control_plane(base: str) -> None:
    """Build our own image for the composed stack; its test then only sends what has changed.

    Raises:
        NotPossible: the build failed.
    """
    began = time.monotonic()
    arguments = ("--quiet", "--tag", CONTROL_PLANE, "--build-arg", f"PYTHON_IMAGE={base}")
    run("docker", "build", *arguments, str(ROOT), environment=dict(os.environ))
    say(f"the control plane's image is ready ({time.monotonic() - began:.0f} s)")


def run(*argv: str, environment: dict[str, str]) -> str:
    """Run a command and return what it printed.

    Raises:
        NotPossible: it failed; the message ends with its output.
    """
    ended = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode != 0:
        output = (ended.stdout + ended.stderr).strip()[-2_000:]
        raise NotPossible(f"{Path(argv[0]).name} {argv[1]} exited {ended.returncode}:\n{output}")
    return ended.stdout


def end(record: Path) -> None:
    """Stop the daemon that we started, if we did and it still runs."""
    daemon = Identity.from_json(read_json(record))
    if daemon is not None and daemon.is_alive():
        stop(daemon, ((SIGTERM, STOP_SECONDS), (SIGKILL, 5.0)))
        say("the daemon that was started for the tests is stopped")
    record.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
