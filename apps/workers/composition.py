"""Where settings become objects of this app: the runtime, the channel, the limits, a worker's container."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from uuid import UUID

from django.conf import settings

from apps.units import toolchain
from apps.units.supervisor import Units
from apps.workers import engine, host_access, instructions, product_owner
from apps.workers.agents import AGENTS
from apps.workers.channel import Channel, get_channel, worker_url
from apps.workers.container_config import WorkerContainerConfig
from apps.workers.credentials import credentials_of
from apps.workers.image_unit import UnitBuilds
from apps.workers.images import ImageHands
from apps.workers.limits import IDLE_SECONDS, REPORT_SECONDS
from apps.workers.models import Worker
from apps.workers.runtime.base import ContainerRuntime, ContainerSpec
from apps.workers.runtime.choice import DOCKER
from apps.workers.runtime.process import ProcessRuntime
from worker_image import masking
from worker_image.contract import AgentType, AuthMode

#: Words on every container of ours: whose it is and what for.
OWNER_LABEL = "codegen-orchestrator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of the reconcilers, in seconds and pieces."""

    max_concurrent: int
    spawn_seconds: float
    stop_grace_seconds: float
    idle_seconds: float
    report_seconds: float
    verification_seconds: float
    stall_seconds: float = 180
    """How long an agent without any sign of life is left to recover."""
    pause_seconds: float = 2_100
    """After which a Product Owner without a turn is paused."""
    stop_seconds: float = 86_400
    """After which such a one is stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """Everything outside the database that a reconciler may touch."""

    runtime: ContainerRuntime
    channel: Channel
    limits: Limits
    describe: Callable[[Worker], ContainerSpec]
    images: ImageHands | None = None
    """None: the runtime has no images."""
    package_cache: Path | None = None
    """What containers see of the installers' cache; None: nothing, or the runtime has its own way."""


@cache
def get_units() -> Units:
    """Return the units of this machine."""
    return Units(settings.UNITS_DIR)


@cache
def get_runtime() -> ContainerRuntime:
    """Return the runtime that WORKERS_RUNTIME names, or with ``auto`` the one that this machine offers.

    Raises:
        ValueError: there is no such runtime.

    """
    if engine.runtime_name() == DOCKER:
        return engine.get_docker()
    tools = toolchain.prepare(settings.TOOLS_DIR, extra=settings.WORKERS_TOOLS_DIRS)
    return ProcessRuntime(get_units(), tools=tools, outer=settings.UNITS_OUTER_ENVIRONMENT)


def control_plane() -> tuple[str, str | None]:
    """Return where workers reach us: address of the API, and host and port of the channel.

    None: the channel where we reach it ourselves. Containers reach the edge on the gateway of their bridge,
    which passes both on.

    Raises:
        RuntimeUnavailable: the gateway is not known yet; ask again.

    """
    if engine.runtime_name() != DOCKER:
        return settings.WORKERS_API_URL, None
    gateway = engine.get_docker().gateway()
    api, channel = settings.WORKERS_EDGE_API_PORT, settings.WORKERS_EDGE_CHANNEL_PORT
    return f"http://{gateway}:{api}", f"{gateway}:{channel}"


def get_hands() -> Hands:
    """Return what the reconcilers of this installation work with."""
    return Hands(
        runtime=get_runtime(),
        channel=get_channel(),
        limits=get_limits(),
        describe=container_spec,
        images=get_image_hands(),
        package_cache=get_package_cache(),
    )


def get_package_cache() -> Path | None:
    """Return the cache that the set-up filled, if a daemon on this machine can lay it beside a container."""
    if engine.runtime_name() != DOCKER or not Path("/sys/class/net", settings.WORKERS_BRIDGE).exists():
        return None
    found: Path = settings.PACKAGE_CACHE_DIR.resolve()
    # The mark is written last: a cache that is being filled is none.
    return found if found.with_name(f"{found.name}.complete").exists() else None


def get_image_hands() -> ImageHands | None:
    """Return what builds this installation's images, or None where workers are processes."""
    if engine.runtime_name() != DOCKER:
        return None
    builds = UnitBuilds(
        get_units(),
        installation=settings.WORKERS_INSTALLATION,
        sources=settings.BASE_DIR,
        locks=settings.VAR_DIR / "run" / "images",
        environment=settings.WORKERS_DOCKER_ENVIRONMENT,
    )
    return ImageHands(builder=engine.get_image_builder(), builds=builds)


def get_limits() -> Limits:
    """Return the configured bounds."""
    return Limits(
        max_concurrent=settings.WORKERS_MAX_CONCURRENT,
        spawn_seconds=settings.WORKERS_SPAWN_DEADLINE_SECONDS,
        stop_grace_seconds=settings.WORKERS_STOP_GRACE_SECONDS,
        idle_seconds=IDLE_SECONDS,
        report_seconds=REPORT_SECONDS,
        verification_seconds=settings.WORKERS_VERIFICATION_DEADLINE_SECONDS,
        stall_seconds=settings.WORKERS_STALL_SECONDS,
        pause_seconds=settings.WORKERS_PO_PAUSE_SECONDS,
        stop_seconds=settings.WORKERS_PO_STOP_SECONDS,
    )


def container_spec(worker: Worker) -> ContainerSpec:
    """Return the container that a worker's row describes, its secrets derived anew."""
    credentials = credentials_of(worker.pk)
    api_url, channel = control_plane()
    key, url = _provider(worker.agent_type)
    config: Mapping[str, str] = worker.config
    container = WorkerContainerConfig(
        worker_id=str(worker.pk),
        worker_type=worker.worker_type,
        agent_type=worker.agent_type,
        auth_mode=config.get("auth_mode") or AuthMode.NONE,
        api_key=key,
        provider_url=url,
        token=credentials.token,
        allowed_commands=tuple(worker.allowed_commands),
        session_id=worker.session_id,
        model=config.get("model") or "",
        env_vars=worker.config.get("env_vars") or {},
        labels=labels_of(worker),
        memory_bytes=(worker.config.get("memory_mb") or settings.WORKERS_MEMORY_MB) * 1024**2,
        cpus=worker.config.get("cpus") or settings.WORKERS_CPUS,
        pids_limit=settings.WORKERS_PIDS,
        instructions_sha256=instructions.digest(worker),
        home=product_owner.home_of(worker),
        image=worker.image.tag if worker.image else None,
        capabilities=host_access.permitted(
            worker.config.get("capabilities") or (), allow_docker_socket=settings.WORKERS_ALLOW_DOCKER_SOCKET
        ),
        host_claude_dir=_session_directory(worker),
    )
    return container.to_spec(
        redis_url=worker_url(worker.pk, credentials.password, address=channel),
        api_url=api_url,
        stop_grace_seconds=settings.WORKERS_STOP_GRACE_SECONDS,
    )


def _session_directory(worker: Worker) -> str | None:
    """Return the session that is mounted, checked again: the operator may have changed his mind since."""
    wanted = worker.config.get("host_session_dir")
    return host_access.session_directory(wanted, settings.WORKERS_HOST_SESSION_DIRS) if wanted else None


def labels_of(worker: Worker) -> dict[str, str]:
    """Return the words by which a stranger finds out whose container this is."""
    words = {"project": worker.project_id, "task": worker.task_id, "run": worker.run_id}
    known = {name: str(value) for name, value in words.items() if value is not None}
    return {"owner": OWNER_LABEL, "worker": str(worker.pk), **known}


@lru_cache(maxsize=1_000)
def masked_words(worker_id: UUID) -> tuple[str, ...]:
    """Return what may stand in nothing that a worker says: its own secrets, and every provider's key."""
    credentials = credentials_of(worker_id)
    keys = (_provider(agent_type)[0] or "" for agent_type in AGENTS)
    return masking.needles([credentials.token, credentials.password, *keys])


def known_secrets(worker: Worker) -> list[str]:
    """Return every secret that was in a worker's environment."""
    credentials = credentials_of(worker.pk)
    return [credentials.token, credentials.password, _provider(worker.agent_type)[0] or ""]


def _provider(agent_type: str) -> tuple[str | None, str | None]:
    row = AGENTS[AgentType(agent_type)]
    key, url = (getattr(settings, name) if name else None for name in (row.key, row.url))
    return key, url
