"""What the stack knows of the workers' runtime: chosen once at the start, on disk for every other process.

Two processes that chose for themselves could choose differently while a daemon comes or goes, and then each
would take the other's workers for dead.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.embedded.places import write_private
from orchestrator.envfile import read_env_file
from orchestrator.stack.prepare import CommandFailed, run_module

logger = logging.getLogger(__name__)

CONTAINERS = "orchestrator.stack.containers"
FAREWELL = "orchestrator.stack.farewell"
#: Of the whole farewell, its imports included.
FAREWELL_SECONDS = 40
#: Read by ``orchestrator.envfile`` like the other files that the stack writes.
FILE = "runtime.env"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The runtime of this stack's workers."""

    runtime: str
    reason: str
    base_image: str = ""
    installation: str = ""

    @property
    def has_containers(self) -> bool:
        """Whether workers run in containers."""
        return self.runtime == "docker"

    @property
    def notice(self) -> str:
        """One line for whoever started the stack."""
        how = "containers" if self.has_containers else "processes, without isolation"
        return f"Workers run as {how}: {self.reason}."

    def settings(self) -> dict[str, str]:
        """Return it as settings of every process of the stack."""
        image = {"WORKERS_BASE_IMAGE": self.base_image} if self.base_image else {}
        return {"WORKERS_RUNTIME": self.runtime, **image}


def read_runtime(var_dir: Path) -> Runtime | None:
    """Return what was chosen at the last start; None before the first and after a stop."""
    known = read_env_file(var_dir / FILE)
    if not known:
        return None
    return Runtime(
        runtime=known.get("WORKERS_RUNTIME", ""),
        reason=known.get("WORKERS_RUNTIME_REASON", ""),
        base_image=known.get("WORKERS_BASE_IMAGE", ""),
        installation=known.get("WORKERS_INSTALLATION", ""),
    )


def choose_runtime(env: Mapping[str, str], *, var_dir: Path, root: Path) -> Runtime:
    """Ask which runtime this machine offers, and write it down.

    Args:
        env: environment of the stack's processes.
        var_dir: state directory.
        root: the checkout.

    Raises:
        CommandFailed: WORKERS_RUNTIME names none.
    """
    earlier = read_runtime(var_dir)
    # What was chosen last time is no setting of this time.
    (var_dir / FILE).unlink(missing_ok=True)
    runtime = Runtime(**json.loads(run_module(CONTAINERS, "choose", env=env, root=root)))
    if earlier is not None and earlier.has_containers and not runtime.has_containers:
        logger.warning("containers of an earlier start may be left: %s", runtime.reason)
    names = {"runtime": "WORKERS_RUNTIME", "reason": "WORKERS_RUNTIME_REASON"}
    words = {names.get(key, f"WORKERS_{key.upper()}"): value for key, value in asdict(runtime).items()}
    lines = (f"{name}={value}\n" for name, value in words.items() if value)
    write_private(var_dir / FILE, "".join(lines))
    return runtime


def part_with_workers(env: Mapping[str, str], *, var_dir: Path, root: Path) -> None:
    """Let every worker hand in its work and end; whoever cannot is left to those that stop the rest.

    Args:
        env: environment of the stack's processes.
        var_dir: state directory.
        root: the checkout.
    """
    known = read_runtime(var_dir)
    has_containers = known is not None and known.has_containers
    if not has_containers and not any((var_dir / "units" / "units").glob("worker-*")):
        return
    try:
        run_module(FAREWELL, env=env, root=root, seconds=FAREWELL_SECONDS)
    except CommandFailed as error:
        # What is not said here is said at the next start: work of a container that is gone may be lost.
        logger.warning("workers may not have handed in their work: %s", error)


def dissolve(env: Mapping[str, str], *, var_dir: Path, root: Path, keep_homes: bool) -> None:
    """Remove every container, volume and the network of this installation, if it had any.

    Args:
        env: environment of the stack's processes.
        var_dir: state directory.
        root: the checkout.
        keep_homes: leave the homes of Product Owners, which are data like those in the state directory.

    Raises:
        CommandFailed: some of it may be left; what is known stays on disk for the next try.
    """
    known = read_runtime(var_dir)
    if known is not None and known.has_containers:
        homes = () if keep_homes else ("--homes",)
        try:
            run_module(CONTAINERS, "dissolve", *homes, env=env, root=root)
        except CommandFailed as error:
            message = f"containers of workers may be left, `make down` tries again: {error}"
            raise CommandFailed(message) from error
    (var_dir / FILE).unlink(missing_ok=True)
