"""The enumerations of the worker contract. Re-exported by `contract`."""

from enum import IntEnum, StrEnum


class AgentType(StrEnum):
    """Which coding agent a worker runs."""

    CLAUDE = "claude"
    FACTORY = "factory"
    CODEX = "codex"
    REHEARSAL = "rehearsal"
    """The deterministic offline coder of demos and tests."""


class WorkerType(StrEnum):
    """What a worker is for."""

    PO = "po"
    """Product Owner: one per user, keeps a session, has no workspace."""
    DEVELOPER = "developer"
    """Lives for one task and changes one repository."""


class WorkerCapability(StrEnum):
    """What a worker's image contains beyond its agent."""

    GIT = "git"
    GITHUB_CLI = "github_cli"
    CURL = "curl"
    DOCKER = "docker"
    NODE = "node"
    PYTHON = "python"


class AuthMode(StrEnum):
    """How an agent gets its provider's credential."""

    API_KEY = "api_key"
    HOST_SESSION = "host_session"
    NONE = "none"


class ResultStatus(StrEnum):
    """How a turn ended, as its worker tells it."""

    SUCCESS = "success"
    FAILED = "failed"
    """The work said no: the agent reported a failure, or claimed what the wrapper could not carry."""
    ERROR = "error"
    """The agent broke: non-zero exit, unreadable answer, nothing to work with."""
    TIMEOUT = "timeout"


class ErrorCode(StrEnum):
    """Why a turn has no success."""

    AGENT_EXIT = "agent_exit"
    RESULT_MISSING = "result_missing"
    RESULT_UNREADABLE = "result_unreadable"
    RESULT_TOO_LARGE = "result_too_large"
    AGENT_REPORTED_FAILURE = "agent_reported_failure"
    TIMEOUT = "timeout"
    WORKSPACE_UNAVAILABLE = "workspace_unavailable"
    SNAPSHOT_REFUSED = "snapshot_refused"
    AGENT_MISSING = "agent_missing"
    WORKER_RESTARTED = "worker_restarted"
    """The wrapper died during the turn; it is reported, never silently run again."""
    WORKER_STOPPED = "worker_stopped"
    """The wrapper was asked to stop during the turn."""
    WORKER_FAILED = "worker_failed"
    """The wrapper broke during the turn."""
    INPUT_UNREADABLE = "input_unreadable"
    """The turn itself could not be read by the wrapper."""
    PROVIDER_REFUSED = "provider_refused"
    """The model's provider takes neither this key nor this model nor this request, however often asked."""
    PROVIDER_LIMITED = "provider_limited"
    """The model's provider wants fewer requests."""
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    """The model's provider is overloaded, broken, out of reach, or broke off."""


class LifecycleEvent(StrEnum):
    """What happened to a wrapper."""

    STARTED = "started"
    COMPLETED = "completed"
    """A turn ended with a success; its result came before."""
    FAILED = "failed"
    """A turn ended without success; with an exit code: the wrapper gives up and ends."""
    STOPPED = "stopped"
    """The wrapper was asked to stop and ends now."""


class ProgressType(StrEnum):
    """Where a turn stands."""

    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Phase(StrEnum):
    """What a wrapper is doing, as its heartbeat tells it."""

    IDLE = "idle"
    PREPARING = "preparing"
    RUNNING = "running"
    UPLOADING = "uploading"
    STOPPING = "stopping"


class OutputKind(StrEnum):
    """What an output entry carries."""

    LIFECYCLE = "lifecycle"
    PROGRESS = "progress"
    HEARTBEAT = "heartbeat"
    RESULT = "result"


class SnapshotReason(StrEnum):
    """Why a bundle was uploaded."""

    RESULT = "result"
    PERIODIC = "periodic"
    STOP = "stop"


class WrapperExit(IntEnum):
    """Exit codes of the wrapper process."""

    STOPPED = 0
    """Asked to stop, and stopped in order."""
    CRASHED = 1
    """A bug of the wrapper."""
    MISCONFIGURED = 2
    """The environment lacks a variable or holds a malformed one."""
    SHUT_OUT = 3
    """The channel server refused the worker's user for too long."""
    UNINSTRUCTED = 4
    """The agent's instructions did not arrive or could not be put in place."""
