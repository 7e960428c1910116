"""What may be asked of this app: frozen requests, checked when they are made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final
from uuid import UUID

from apps.errors import Invalid
from apps.workers import instructions
from worker_image.contract import PROFILES, RESERVED_ENV, AgentType, WorkerType

_SHA: Final = re.compile(r"[0-9a-f]{40}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: A CLI command, or all of a group, or all.
_PERMISSION: Final = re.compile(r"\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?")
_MAX_PERMISSIONS: Final = 100
_MAX_PERMISSION_CHARACTERS: Final = 100
_COMMANDS: Final = ("setup", "check", "tests")
_MAX_COMMAND_CHARACTERS: Final = 1_000
_MAX_PROTECTED_PATHS: Final = 200


class RequestInvalid(Invalid):
    """The request names something that cannot be."""

    code = "request_invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRequest:
    """One worker: who it acts for, which agent, and the workspace it starts from.

    Attributes:
        worker_type: ``developer`` or ``po``.
        owner_id: the person it acts for.
        agent_type: which agent; None lets the system choose.
        profile: a name of ``PROFILES``; used when ``allowed_commands`` is None.
        workspace_name: the bundle of the base branch in the shared storage; empty for a PO.
        branch: where its commits are expected.
        env_vars: additional variables of its agent; never a secret.
        capabilities: tools that its image has besides the common ones.
        host_session_dir: a login session of this machine that its agent uses, if the operator allows it.

    """

    worker_type: str
    owner_id: int
    project_id: UUID | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    agent_type: str | None = None
    profile: str = "DEVELOPER"
    allowed_commands: tuple[str, ...] | None = None
    workspace_name: str = ""
    workspace_sha256: str = ""
    base_branch: str = ""
    base_sha: str = ""
    branch: str = ""
    instructions: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    host_session_dir: str | None = None

    def __post_init__(self) -> None:
        """Refuse unknown words.

        Raises:
            RequestInvalid: naming the field.
            InstructionsTooLong: the standing orders are.

        """
        _one_of("worker_type", self.worker_type, [str(kind) for kind in WorkerType])
        if self.agent_type is not None:
            _one_of("agent_type", self.agent_type, [str(agent) for agent in AgentType])
        if self.allowed_commands is None:
            _one_of("profile", self.profile, PROFILES)
        _permissions(self.commands)
        if self.worker_type == WorkerType.DEVELOPER:
            _matches("base_sha", self.base_sha, _SHA)
            _matches("workspace_sha256", self.workspace_sha256, _DIGEST)
            _present(self, "workspace_name", "base_branch", "branch")
        instructions.check(self.instructions)
        for name in self.env_vars:
            if name in RESERVED_ENV or not _VARIABLE.fullmatch(name):
                raise RequestInvalid("env_vars sets a name it may not", details={"env_vars": name[:100]})

    @property
    def commands(self) -> tuple[str, ...]:
        """Return what its token may do."""
        return PROFILES[self.profile] if self.allowed_commands is None else self.allowed_commands


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationRequest:
    """Checks of one commit.

    Attributes:
        bundle_name: a bundle in the shared storage that has both commits.
        commands: ``setup``, ``check`` and ``tests`` of the base's manifest.
        protected: patterns of paths that are taken from the base.
        allow_removed_tests: whether the task may delete or skip tests.

    """

    project_id: UUID
    bundle_name: str
    bundle_sha256: str
    base_sha: str
    head_sha: str
    commands: Mapping[str, str]
    protected: tuple[str, ...] = ()
    task_id: UUID | None = None
    allow_removed_tests: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never be checked.

        Raises:
            RequestInvalid: naming the field.

        """
        _matches("base_sha", self.base_sha, _SHA)
        _matches("head_sha", self.head_sha, _SHA)
        _matches("bundle_sha256", self.bundle_sha256, _DIGEST)
        _present(self, "bundle_name")
        for name in _COMMANDS:
            command = self.commands.get(name, "")
            if not command.strip() or len(command) > _MAX_COMMAND_CHARACTERS or "\0" in command:
                raise RequestInvalid("the manifest lacks a usable command", details={"commands": name})
        if len(self.protected) > _MAX_PROTECTED_PATHS or any(_escapes(path) for path in self.protected):
            raise RequestInvalid("protected has an impossible path", details={"protected": "path"})


def _one_of(field_name: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise RequestInvalid(f"unknown {field_name}", details={field_name: value[:100]})


def _matches(field_name: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value):
        raise RequestInvalid(f"{field_name} has not the form of one", details={field_name: value[:100]})


def _permissions(patterns: tuple[str, ...]) -> None:
    if len(patterns) > _MAX_PERMISSIONS:
        raise RequestInvalid(f"allowed_commands has more than {_MAX_PERMISSIONS} entries")
    for pattern in patterns:
        if len(pattern) > _MAX_PERMISSION_CHARACTERS:
            raise RequestInvalid("allowed_commands has an entry that is too long")
        _matches("allowed_commands", pattern, _PERMISSION)


def _present(request: object, *field_names: str) -> None:
    for field_name in field_names:
        if not getattr(request, field_name):
            raise RequestInvalid(f"{field_name} is missing", details={field_name: ""})


def _escapes(path: str) -> bool:
    pure = PurePosixPath(path)
    return not path or "\0" in path or pure.is_absolute() or ".." in pure.parts
