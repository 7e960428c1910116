"""What a worker's container is: its environment, its mounts, its limits. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from apps.errors import Invalid
from apps.workers.agents import AGENTS
from apps.workers.image_recipe import normalize
from apps.workers.runtime.base import ContainerSpec, HostMount, Network
from apps.workers.runtime.docker_convert import Place, run_keywords
from worker_image import contract
from worker_image.contract import AgentType, AuthMode, WorkerCapability, WorkerType

COMMAND: Final = ("orchestrator-worker",)
SESSION_MOUNT: Final = "/home/worker/.claude"
DOCKER_SOCKET: Final = "/var/run/docker.sock"
#: The longest that a container lives that nobody stopped.
DEADLINE_SECONDS: Final = 24 * 3_600
#: A Product Owner talks for as long as its person does; its idleness is bounded elsewhere.
PO_DEADLINE_SECONDS: Final = 7 * 24 * 3_600
#: From SIGTERM to SIGKILL, unless the caller says otherwise.
STOP_GRACE_SECONDS: Final = 10.0
MEMORY_BYTES: Final = 2 * 1024**3
CPUS: Final = 1.0
PIDS_LIMIT: Final = 256


class ContainerConfigInvalid(Invalid):
    """The worker's container cannot be described like this."""

    code = "container_config_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerContainerConfig:
    """One worker's container.

    Attributes:
        worker_id: the row's id as text; the container's name derives from it.
        auth_mode: how its agent gets its provider's credential; no other key ever enters the container.
        host_claude_dir: the session directory that ``host_session`` mounts.
        token: what it shows to the API.
        model: which of its provider's models the agent uses; ``env_vars`` may name another.
        env_vars: additional variables of its agent.
        instructions_sha256: digest of the standing orders among its inputs; empty: it has none.
        home: name of the home directory that outlives it.

    """

    worker_id: str
    worker_type: str
    agent_type: str
    capabilities: tuple[str, ...] = ()
    auth_mode: str = AuthMode.API_KEY
    host_claude_dir: str | None = None
    api_key: str | None = field(default=None, repr=False)
    provider_url: str | None = None
    token: str = field(default="", repr=False)
    allowed_commands: tuple[str, ...] = ()
    session_id: str = ""
    model: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    memory_bytes: int = MEMORY_BYTES
    cpus: float = CPUS
    pids_limit: int = PIDS_LIMIT
    instructions_sha256: str = ""
    home: str | None = None

    def __post_init__(self) -> None:
        """Write capabilities as the contract does, and refuse a session that is to be mounted from nowhere.

        Raises:
            ContainerConfigInvalid: naming the field.
            UnknownCapability: there is none of that name.

        """
        object.__setattr__(self, "capabilities", normalize(self.capabilities))
        if self.auth_mode == AuthMode.HOST_SESSION and not self.host_claude_dir:
            raise ContainerConfigInvalid("host_session needs host_claude_dir")
        if taken := sorted(contract.RESERVED_ENV & self.env_vars.keys()):
            raise ContainerConfigInvalid("env_vars sets a reserved name", details={"env_vars": taken})

    @property
    def container_name(self) -> str:
        """The name under which every runtime knows it."""
        return f"worker-{self.worker_id}"

    def to_env_vars(self, *, redis_url: str, api_url: str) -> dict[str, str]:
        """Return the container's variables.

        Args:
            redis_url: the channel with the worker's own user.
            api_url: the REST API as the container reaches it.

        """
        variables = {
            **self._model_variables(),
            **self.env_vars,
            **self._provider_variables(),
            contract.ENV_WORKER_ID: self.worker_id,
            contract.ENV_WORKER_TYPE: str(self.worker_type),
            contract.ENV_AGENT_TYPE: str(self.agent_type),
            contract.ENV_REDIS_URL: redis_url,
            contract.ENV_API_URL: api_url,
            contract.ENV_WORKER_TOKEN: self.token,
            contract.ENV_ALLOWED_COMMANDS: json.dumps(list(self.allowed_commands)),
            contract.ENV_AGENT_VARIABLES: json.dumps(sorted(self.env_vars)),
        }
        if self.session_id:
            variables[contract.ENV_SESSION_ID] = self.session_id
        if self.instructions_sha256:
            variables[contract.ENV_INSTRUCTIONS_SHA256] = self.instructions_sha256
        return variables

    def to_volume_mounts(self) -> dict[str, dict[str, str]]:
        """Return what is mounted, as docker's ``volumes``: host path → where and how."""
        mounts: dict[str, dict[str, str]] = {}
        if self.auth_mode == AuthMode.HOST_SESSION and self.host_claude_dir:
            target = AGENTS[AgentType(self.agent_type)].session_mount or SESSION_MOUNT
            mounts[self.host_claude_dir] = {"bind": target, "mode": "rw"}
        if WorkerCapability.DOCKER in self.capabilities:
            mounts[DOCKER_SOCKET] = {"bind": DOCKER_SOCKET, "mode": "rw"}
        return mounts

    def to_docker_run_kwargs(
        self, *, redis_url: str = "", api_url: str = "", place: Place | None = None
    ) -> dict[str, Any]:
        """Return the keyword arguments with which the docker runtime makes the container."""
        spec = self.to_spec(redis_url=redis_url, api_url=api_url, stop_grace_seconds=STOP_GRACE_SECONDS)
        return run_keywords(spec, place or Place())

    def to_spec(self, *, redis_url: str, api_url: str, stop_grace_seconds: float) -> ContainerSpec:
        """Return what a runtime is asked to start; the same for the same row, however often."""
        return ContainerSpec(
            name=self.container_name,
            command=COMMAND,
            environment=self.to_env_vars(redis_url=redis_url, api_url=api_url),
            labels=self.labels,
            image=self.image,
            memory_bytes=self.memory_bytes,
            cpus=self.cpus,
            pids_limit=self.pids_limit,
            home=self.home,
            mounts=tuple(
                HostMount(source=Path(source), target=mount["bind"], read_only=mount["mode"] == "ro")
                for source, mount in self.to_volume_mounts().items()
            ),
            own_init=True,
            network=Network.EGRESS,
            deadline_seconds=PO_DEADLINE_SECONDS if self.worker_type == WorkerType.PO else DEADLINE_SECONDS,
            stop_grace_seconds=stop_grace_seconds,
            on_exit=("workers.reconcile_worker", {"worker_id": self.worker_id}),
            cache=True,
        )

    def _model_variables(self) -> dict[str, str]:
        name = contract.ENV_MODELS.get(self.agent_type)
        return {name: self.model} if name and self.model else {}

    def _provider_variables(self) -> dict[str, str]:
        row = AGENTS[AgentType(self.agent_type)]
        values = {row.key: self.api_key, row.url: self.provider_url}
        return {name: value for name in row.environment(self.auth_mode) if (value := values[name])}
