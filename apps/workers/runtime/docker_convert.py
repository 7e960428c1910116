"""What a spec means in the words of the Docker SDK, and what its answers mean in ours. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from docker.types import LogConfig, Mount, Ulimit

from apps.workers.runtime import base

LABEL: Final = "codegen."
INSTALLATION: Final = "codegen.installation"
#: The container's final name: while it is being made it has another.
CONTAINER: Final = "codegen.container"
DEADLINE: Final = "codegen.deadline"
ON_EXIT: Final = "codegen.on_exit"
HOME: Final = "codegen.home"
#: A container that was started as a spare: which specs it fits.
POOL: Final = "codegen.pool"
_OURS: Final = frozenset({INSTALLATION, CONTAINER, DEADLINE, ON_EXIT, HOME, POOL})

#: ``worker``, by number: an image need not have the name for it.
WORKER: Final = "1000:1000"
WORKSPACE_DIRECTORY: Final = "/workspace"
HOME_DIRECTORY: Final = "/home/worker"
INPUT_DIRECTORY: Final = "/inputs"
TEMPORARY_DIRECTORY: Final = "/tmp"
ENV_DEADLINE: Final = "CONTAINER_DEADLINE_SECONDS"

_LOG: Final = {"max-size": "1m", "max-file": "2"}
_NANO: Final = 1_000_000_000
#: Of an init that has ended at its deadline, or was killed a grace period later.
_TIMEOUT_CODES: Final = frozenset({124, 137, 143})
_CLOCK_SECONDS: Final = 1.0
_NEVER: Final = "0001-01-01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What of a container's surroundings is not in its spec."""

    installation: str = ""
    default_image: str | None = None
    proxy_url: str | None = None  # what Network.EGRESS adds; None: nothing
    no_proxy: str = ""
    groups: tuple[int, ...] = ()  # additional ones, for a mounted socket
    environment: Mapping[str, str] = field(default_factory=dict)  # of every container; its spec goes before

    @property
    def network(self) -> str:
        """The name of the bridge of all containers of this installation."""
        return f"codegen-{self.installation}"


def run_keywords(spec: base.ContainerSpec, place: Place) -> dict[str, Any]:
    """Return the keyword arguments of the SDK's ``containers.create`` for a spec."""
    program, *arguments = _command(spec)
    return {
        "image": spec.image or place.default_image,
        "name": spec.name,
        "entrypoint": [program],
        "command": arguments,
        "environment": _environment(spec, place),
        "labels": _labels(spec, place),
        "user": WORKER,
        "group_add": [str(group) for group in place.groups],
        "working_dir": WORKSPACE_DIRECTORY,
        "hostname": "worker",
        "init": not spec.own_init,
        "stop_signal": "SIGTERM",
        "read_only": spec.read_only_root,
        "mounts": _mounts(spec, place),
        "tmpfs": {
            TEMPORARY_DIRECTORY: f"rw,exec,nosuid,nodev,mode=1777,size={spec.temporary_bytes}",
        },
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,
        "nano_cpus": int(spec.cpus * _NANO),
        "pids_limit": spec.pids_limit,
        "oom_score_adj": 500,
        "ulimits": _ulimits(spec),
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": LogConfig(type=LogConfig.types.JSON, config=dict(_LOG)),
        "use_config_proxy": False,
        "detach": True,
        # An image's check runs with the container's variables, where the agent, of its uid, could read them.
        "healthcheck": {"test": ["NONE"]},
        **_network(spec, place),
    }


def home_volume(place: Place, home: str) -> str:
    """Return the name of the volume that is a home."""
    return f"{place.network}-{home}"


def state_of(attributes: Mapping[str, Any]) -> base.ContainerState:
    """Return what the daemon's answer to an inspection says."""
    state = attributes["State"]
    name = attributes["Name"].removeprefix("/")
    labels = attributes["Config"].get("Labels") or {}
    phase = _phase(state)
    started_at, finished_at = _moment(state.get("StartedAt")), _moment(state.get("FinishedAt"))
    has_ended = phase is base.Phase.EXITED
    return base.ContainerState(
        name=name,
        phase=phase,
        exit_code=state["ExitCode"] if has_ended else None,
        oom_killed=bool(state.get("OOMKilled")),
        timed_out=has_ended and _timed_out(state["ExitCode"], started_at, finished_at, labels),
        started_at=started_at,
        finished_at=finished_at if has_ended else None,
        labels=own_labels(labels, name),
        image=attributes.get("Image"),
    )


def own_labels(labels: Mapping[str, str], name: str = "") -> dict[str, str]:
    """Return a spec's labels from a container's; those of a claimed spare are in its name."""
    if POOL in labels:
        return {} if is_spare(labels, name) else {name.partition("-")[0]: identity_of(name)}
    return {
        label.removeprefix(LABEL): value
        for label, value in labels.items()
        if label.startswith(LABEL) and label not in _OURS
    }


def on_exit_of(labels: Mapping[str, str], name: str = "") -> tuple[str, dict[str, Any]] | None:
    """Return which Celery task a container's label names."""
    if not (text := labels.get(ON_EXIT)):
        return None
    task, arguments = json.loads(text)
    if POOL not in labels:
        return task, arguments
    return None if is_spare(labels, name) else (task, dict.fromkeys(arguments, identity_of(name)))


def final_name(labels: Mapping[str, str], name: str) -> str | None:
    """Return the name that a container of ours was made for; None: it has not got it (yet)."""
    if POOL in labels:
        return None if is_spare(labels, name) else name
    return name if labels.get(CONTAINER) == name else None


def is_spare(labels: Mapping[str, str], name: str) -> bool:
    """Tell whether a container is a spare that nobody has claimed."""
    own = labels.get(CONTAINER, "")
    return POOL in labels and (name == own or name.startswith(f"{own}."))


def identity_of(name: str) -> str:
    """Return what a final name says besides the kind: the row's id, as a rule."""
    return name.partition("-")[2]


def _command(spec: base.ContainerSpec) -> list[str]:
    if spec.own_init:
        return list(spec.command)
    grace, deadline = f"{spec.stop_grace_seconds:g}", f"{spec.deadline_seconds:g}"
    return ["timeout", f"--kill-after={grace}", deadline, *spec.command]


def _environment(spec: base.ContainerSpec, place: Place) -> dict[str, str]:
    variables = {
        **place.environment,
        "HOME": HOME_DIRECTORY,
        "TMPDIR": TEMPORARY_DIRECTORY,
        "WORKSPACE_DIR": WORKSPACE_DIRECTORY,
        "INPUT_DIR": INPUT_DIRECTORY,
    }
    if spec.own_init:
        variables[ENV_DEADLINE] = f"{spec.deadline_seconds:g}"
    if spec.cache:
        # The cache is the home's, the project is another volume: nothing can be linked across.
        variables["UV_LINK_MODE"] = "copy"
    if spec.network is base.Network.EGRESS and place.proxy_url:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            variables[name] = variables[name.lower()] = place.proxy_url
        variables["NO_PROXY"] = variables["no_proxy"] = place.no_proxy
    return variables | dict(spec.environment)


def _labels(spec: base.ContainerSpec, place: Place) -> dict[str, str]:
    words = {f"{LABEL}{name}": value for name, value in spec.labels.items()}
    words |= {
        INSTALLATION: place.installation,
        CONTAINER: spec.name,
        DEADLINE: f"{spec.deadline_seconds:g}",
    }
    if spec.on_exit is not None:
        task, arguments = spec.on_exit
        words[ON_EXIT] = json.dumps([task, dict(arguments)])
    return words


def _mounts(spec: base.ContainerSpec, place: Place) -> list[Mount]:
    owner = {INSTALLATION: place.installation}
    fresh = [WORKSPACE_DIRECTORY, INPUT_DIRECTORY]
    if spec.home is None:
        fresh.append(HOME_DIRECTORY)
    mounts = [Mount(target=target, source=None, type="volume", labels=owner) for target in fresh]
    if spec.home is not None:
        name = home_volume(place, spec.home)
        labels = {**owner, HOME: spec.home}
        mounts.append(Mount(target=HOME_DIRECTORY, source=name, type="volume", labels=labels))
    mounts += [
        Mount(target=mount.target, source=str(mount.source), type="bind", read_only=mount.read_only)
        for mount in spec.mounts
    ]
    return mounts


def _ulimits(spec: base.ContainerSpec) -> list[Ulimit]:
    values = {"nofile": spec.open_files, "fsize": spec.file_size_bytes, "core": 0}
    return [Ulimit(name=name, soft=value, hard=value) for name, value in values.items()]


def _network(spec: base.ContainerSpec, place: Place) -> dict[str, Any]:
    if spec.network is base.Network.NONE:
        return {"network_mode": "none"}
    # The daemon's resolver would carry questions outside, and with them anything: it gets nobody to ask.
    return {"network": place.network, "dns": ["127.0.0.1"]}


def _phase(state: Mapping[str, Any]) -> base.Phase:
    status = state["Status"]
    if status == "created":
        return base.Phase.CREATED
    if state.get("Paused"):
        return base.Phase.PAUSED
    return base.Phase.RUNNING if state.get("Running") or status == "restarting" else base.Phase.EXITED


def _timed_out(
    code: int, started_at: datetime | None, finished_at: datetime | None, labels: Mapping[str, str]
) -> bool:
    if started_at is None or finished_at is None or DEADLINE not in labels:
        return False
    deadline = float(labels[DEADLINE])
    lived = (finished_at - started_at).total_seconds()
    # The daemon notices a start a little late: under load the deadline passes early by its clock.
    return code in _TIMEOUT_CODES and lived >= deadline - min(_CLOCK_SECONDS, deadline / 2)


def _moment(text: str | None) -> datetime | None:
    return None if not text or text.startswith(_NEVER) else datetime.fromisoformat(text)
