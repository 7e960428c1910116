"""``manage.py doctor``: one line per check, with the exact repair; non-zero if something is red."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator import doctor_outside
from orchestrator.env import ROOT
from orchestrator.envfile import find_var_dir, read_env_file, read_values
from orchestrator.findings import Finding
from orchestrator.installation import bridge_name, entrance_socket
from orchestrator.stack.table import OFF

_MIN_PYTHON = (3, 11)
_MIN_DISK_BYTES = 2 * 1024**3
_TIMEOUT_SECONDS = 3.0
AGENTS = {
    "claude": ("claude", "ANTHROPIC_API_KEY"),
    "factory": ("droid", "FACTORY_API_KEY"),
    "codex": ("codex", "OPENAI_API_KEY"),
}


def main(arguments: list[str]) -> int:
    """Print the findings; 1 if any of them is red."""
    if arguments:
        is_help = arguments in (["--help"], ["-h"])
        print(f"usage: manage.py doctor\n\n{__doc__}", file=sys.stdout if is_help else sys.stderr)
        return 0 if is_help else 2
    findings = list(examine())
    for finding in findings:
        print(finding.line())
    return 1 if any(not finding.is_ok and not finding.is_optional for finding in findings) else 0


def examine() -> Iterator[Finding]:
    """Yield the finding of every check."""
    var_dir = find_var_dir(os.environ, ROOT)
    values = read_values(os.environ, ROOT)
    yield _python()
    yield _git()
    yield _units_python()
    yield _disk(var_dir)
    yield _private(var_dir)
    for name in ("DATABASE_URL", "REDIS_URL", "CHANNEL_REDIS_URL"):
        yield _server(name, values.get(name, ""))
    yield _encryption(values.get("ENCRYPTION_KEYS", ""))
    yield from _agents(values)
    yield from _workers(values)
    yield _ansible()
    yield _entrance(values, var_dir)
    yield from doctor_outside.examine(values, var_dir)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        name="python",
        is_ok=sys.version_info >= _MIN_PYTHON,
        text=f"{version} at {sys.executable}",
        repair="install Python 3.11 or newer, then `make setup`",
    )


def _git() -> Finding:
    path = shutil.which("git")
    if path is None:
        return Finding(name="git", is_ok=False, text="not found", repair="install git")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10).stdout.strip()
    return Finding(name="git", is_ok=True, text=version)


def _units_python() -> Finding:
    name = "units"
    if os.geteuid() != 0:
        return Finding(name=name, is_ok=True, text="units run under your own account (no isolation from you)")
    from apps.errors import Unavailable
    from apps.units import toolchain

    try:
        with tempfile.TemporaryDirectory() as directory:
            Path(directory).chmod(0o755)
            tools = toolchain.prepare(Path(directory) / "bin")
        return Finding(name=name, is_ok=True, text=f"unprivileged accounts can run {tools.python}")
    except Unavailable as error:
        return Finding(
            name=name, is_ok=False, text="no Python that other accounts can run", repair=str(error)
        )


def _disk(var_dir: Path) -> Finding:
    place = next(parent for parent in (var_dir, *var_dir.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    return Finding(
        name="disk",
        is_ok=free > _MIN_DISK_BYTES,
        text=f"{free / 1024**3:.1f} GiB free for {var_dir.name}/",
        repair="free at least 2 GiB, or point VAR_DIR at a larger disk",
    )


def _private(var_dir: Path) -> Finding:
    name = "var"
    if not var_dir.exists():
        return Finding(name=name, is_ok=True, text="not there yet; `make up` makes it")
    mode = var_dir.stat().st_mode & 0o777
    # As root others must be able to pass through to their own directories, and to nothing else.
    allowed = 0o711 if os.geteuid() == 0 else 0o700
    return Finding(
        name=name,
        is_ok=mode & ~allowed == 0,
        text=f"mode {mode:o}",
        repair=f"chmod {allowed:o} {var_dir}",
    )


def _server(name: str, url: str) -> Finding:
    if not url:
        return Finding(
            name=name,
            is_ok=True,
            text="not set: the embedded server will be used (`make up`)",
            is_optional=True,
        )
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (5432 if parts.scheme.startswith("postgres") else 6379)
    try:
        socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS).close()
    except OSError as error:
        is_embedded = host == "127.0.0.1"
        return Finding(
            name=name,
            is_ok=False,
            # An embedded server that does not run is the normal state before `make up`.
            is_optional=is_embedded,
            text=f"{host}:{port} does not answer ({error.strerror or error})",
            repair="start it with `make up`"
            if is_embedded
            else f"start that server or correct {name} in .env",
        )
    return Finding(name=name, is_ok=True, text=f"{host}:{port} answers")


def _encryption(keys: str) -> Finding:
    from cryptography.fernet import Fernet

    name = "ENCRYPTION_KEYS"
    if not keys:
        return Finding(name=name, is_ok=True, text="not set: `make up` generates one", is_optional=True)
    try:
        for key in keys.split(","):
            Fernet(key.strip())
    except ValueError:
        repair = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        return Finding(name=name, is_ok=False, text="a key is malformed", repair=repair)
    return Finding(name=name, is_ok=True, text=f"{len(keys.split(','))} key(s)")


def _agents(values: dict[str, str]) -> Iterator[Finding]:
    usable = []
    for agent, (program, variable) in AGENTS.items():
        has_program, has_key = shutil.which(program) is not None, bool(values.get(variable))
        if has_program and has_key:
            usable.append(agent)
        elif has_program or has_key:
            missing = variable if has_program else f"the program {program}"
            yield Finding(
                name=f"agent {agent}",
                is_ok=False,
                is_optional=True,
                text=f"{missing} is missing",
                repair=f"set {variable} in .env" if has_program else f"install {program}",
            )
    text = ", ".join(usable) or "none with key and program: the offline rehearsal agent will work"
    yield Finding(name="agents", is_ok=True, text=text)


def _workers(values: Mapping[str, str]) -> Iterator[Finding]:
    """Tell what the workers would be, by the rule that the stack applies when it starts."""
    from orchestrator.stack import containers

    name, wanted = "workers", values.get("WORKERS_RUNTIME", "auto")
    if wanted == "process" and (reason := _chosen_by_the_stack()):
        text = f"plain processes, without isolation, as the stack decided when it started: {reason}"
        repair = "see to that, then `make down` and `make up`"
        yield Finding(name=name, is_ok=False, is_optional=True, text=text, repair=repair)
        return
    if wanted == "process":
        yield Finding(name=name, is_ok=True, text="plain processes (WORKERS_RUNTIME=process)")
        return
    found = containers.possible(values)
    if found.runtime == "docker":
        yield Finding(name=name, is_ok=True, text=f"containers: {found.reason}")
        if values.get("WORKERS_INSTALLATION") or values.get("SECRET_KEY"):
            yield exposure_of(bridge_name(containers.installation_of(values)))
        return
    yield Finding(
        name=name,
        is_ok=False,
        is_optional=wanted == "auto",
        text=f"plain processes, without isolation: {found.reason}",
        repair="install and start Docker, or name an image that it has or can pull in WORKERS_BASE_IMAGE",
    )


def _ansible() -> Finding:
    """Tell whether playbooks would be run by our configuration and no other."""
    from apps.infra import ansible_configuration

    found = ansible_configuration.problems()
    text, _, repair = (found[0] if found else "reads our configuration and no other").partition("; ")
    return Finding(name="ansible", is_ok=not found, text=text, repair=repair)


def _entrance(values: Mapping[str, str], var_dir: Path) -> Finding:
    """Tell whether somebody listens at the addresses of the projects on this machine."""
    name = "entrance"
    if values.get("INFRA_LOCAL_TARGET", "").lower() in OFF:
        return Finding(name=name, is_ok=True, text="not needed: nothing is deployed to this machine")
    from apps.errors import OrchestratorError
    from apps.infra.targets.entrance import LocalEntrance

    try:
        doors = LocalEntrance(entrance_socket(var_dir)).ask()
    except OrchestratorError:
        text = "does not run, so projects on this machine cannot be reached"
        return Finding(name=name, is_ok=False, is_optional=True, text=text, repair="start it with `make up`")
    taken = [port for port, door in doors.items() if door.get("problem")]
    if taken:
        text = f"other programs listen at ports of projects: {', '.join(taken)}"
        return Finding(name=name, is_ok=False, text=text, repair="stop those programs")
    led = sum(door.get("leads_to") is not None for door in doors.values())
    return Finding(name=name, is_ok=True, text=f"{len(doors)} port(s) of projects, {led} in use")


def _chosen_by_the_stack() -> str:
    """Return why the stack that runs chose processes; nothing if somebody's setting did."""
    if os.environ.get("WORKERS_RUNTIME") or read_env_file(ROOT / ".env").get("WORKERS_RUNTIME"):
        return ""
    return read_env_file(find_var_dir(os.environ, ROOT) / "runtime.env").get("WORKERS_RUNTIME_REASON", "")


def exposure_of(interface: str) -> Finding:
    """Tell what of this machine answers the containers on a bridge besides the edge."""
    from orchestrator import exposure

    name = "workers' reach"
    found = exposure.open_ports(interface)
    if not found or exposure.is_closed(interface):
        text = "of this machine nothing but the edge" if found else "nothing else listens for containers"
        return Finding(name=name, is_ok=True, text=text)
    return Finding(
        name=name,
        is_ok=False,
        is_optional=True,
        text=f"containers reach these ports of this machine: {', '.join(map(str, found))}",
        repair=f"let them listen on 127.0.0.1, or as root: {exposure.closing_rules(interface)}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
