"""What an image consists of, and the hash by which one of the same content is found again. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from apps.errors import Invalid
from apps.workers.agents import AGENTS
from worker_image.contract import AgentType, WorkerCapability

HASH_DIGITS: Final = 12
APP_DIRECTORY: Final = "/opt/worker/app"
BASE_DOCKERFILE: Final = "worker_image/Dockerfile"
AGENT_LABEL: Final = "codegen.agent_type"
CAPABILITIES_LABEL: Final = "codegen.capabilities"
HASH_LABEL: Final = "codegen.image_hash"

#: The docker command alone: the daemon is the host's.
_DOCKER_COMMAND: Final = (
    "cd /tmp && apt-get update && apt-get download docker.io && dpkg-deb -x docker.io_*.deb x"
    " && install -m 0755 x/usr/bin/docker /usr/local/bin/docker && rm -rf /tmp/x /tmp/docker.io_*.deb"
    " /var/lib/apt/lists/*"
)
#: Capability → what installs it; nothing for what the base image brings.
CAPABILITIES: Final[Mapping[WorkerCapability, tuple[str, ...]]] = {
    WorkerCapability.GIT: (),
    WorkerCapability.CURL: (),
    WorkerCapability.NODE: (),
    WorkerCapability.PYTHON: (),
    WorkerCapability.GITHUB_CLI: (
        "apt-get update && apt-get install -y --no-install-recommends gh && rm -rf /var/lib/apt/lists/*",
    ),
    WorkerCapability.DOCKER: (_DOCKER_COMMAND,),
}


class UnknownCapability(Invalid):
    """There is no such capability."""

    code = "unknown_capability"


class UnknownAgent(Invalid):
    """There is no such agent."""

    code = "unknown_agent"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildStep:
    """One image that the daemon is asked for.

    Attributes:
        tag: under which it is found; contains the hash of its content.
        context: name of the archive with its files.
        dockerfile: path inside that archive.
        target: the stage to stop at; None builds the last one.

    """

    tag: str
    context: str
    dockerfile: str
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One image as it is to be built.

    Attributes:
        hash: of everything that decides its content.
        tag: ``{prefix}:{hash}``, or ``{prefix}-base:{hash}``.
        agent_type: empty for the base image.
        steps: what to build in this order; the last one makes the tag.
        commands: the shell commands in it that may fail, for naming the one that did.

    """

    hash: str
    tag: str
    steps: tuple[BuildStep, ...]
    agent_type: str = ""
    capabilities: tuple[str, ...] = ()
    dockerfile: str = ""
    commands: tuple[str, ...] = ()


def digest(words: object) -> str:
    """Return the first hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def normalize(capabilities: Iterable[str]) -> tuple[WorkerCapability, ...]:
    """Return capabilities as the contract writes them: folded, without repetition, sorted.

    Raises:
        UnknownCapability: naming the first that is none.

    """
    found = set()
    for word in capabilities:
        try:
            found.add(WorkerCapability(str(word).strip().casefold()))
        except ValueError as error:
            raise UnknownCapability(details={"capabilities": str(word)[:100]}) from error
    return tuple(sorted(found))


def agent_commands(agent_type: str) -> tuple[str, ...]:
    """Return what installs an agent.

    Raises:
        UnknownAgent: there is none of that name.

    """
    try:
        return AGENTS[AgentType(agent_type)].agent.get_install_commands()
    except ValueError as error:
        raise UnknownAgent(details={"agent_type": str(agent_type)[:100]}) from error


def image_hash(capabilities: Iterable[str], *, agent_type: str, base_hash: str) -> str:
    """Return the hash of an agent's image; the order of the capabilities does not matter, the agent does.

    Raises:
        UnknownCapability, UnknownAgent: there is none of that name.

    """
    names = normalize(capabilities)
    return digest(
        {
            "agent_type": str(agent_type),
            "base": base_hash,
            "capabilities": names,
            "commands": [agent_commands(agent_type), *(CAPABILITIES[name] for name in names)],
        }
    )


def dockerfile(capabilities: Iterable[str], *, agent_type: str, common_tag: str, base_tag: str) -> str:
    """Write the Dockerfile of an agent's image.

    What changes least comes first, so that images share their layers: common →
    agent → capabilities. Our own code comes last, from the base image: a new
    version of it costs each image one small layer and no new installation.

    Raises:
        UnknownCapability, UnknownAgent: there is none of that name.

    """
    names = normalize(capabilities)
    runs = [*agent_commands(agent_type), *(command for name in names for command in CAPABILITIES[name])]
    lines = [
        f"FROM {common_tag}",
        "ARG PIP_INDEX_URL",
        "ARG NPM_CONFIG_REGISTRY",
        "USER root",
        *(f"RUN {_as_root(command)}" for command in runs),
        f"COPY --from={base_tag} {APP_DIRECTORY} {APP_DIRECTORY}",
        "USER worker",
        f'LABEL {AGENT_LABEL}="{agent_type}" {CAPABILITIES_LABEL}="{",".join(names)}"',
    ]
    return "\n".join(lines) + "\n"


def commands_of(capabilities: Iterable[str], *, agent_type: str) -> tuple[str, ...]:
    """Return the commands of an image in the order in which they run."""
    layers = (CAPABILITIES[name] for name in normalize(capabilities))
    return (*agent_commands(agent_type), *(command for layer in layers for command in layer))


def _as_root(command: str) -> str:
    """Return a layer's command that leaves no cache behind, neither in its home nor in the worker's."""
    return f"export HOME=/root NPM_CONFIG_CACHE=/tmp/npm; {{ {command}; }} && rm -rf /tmp/* /root/.npm"
