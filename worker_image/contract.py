"""The words that workers and the control plane exchange: a trust boundary, version 1.

Writers are strict: an unknown or malformed field raises. Readers (`read`, `OutputEnvelope.read_body`) ignore
unknown fields and log their names; everything else malformed is refused with `pydantic.ValidationError`.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, JsonValue, SecretStr, model_validator

from worker_image.message import (
    Answer,
    Branch,
    Count,
    Error,
    Identifier,
    Instructions,
    Line,
    Moment,
    Prompt,
    Reason,
    Sha,
    Summary,
    Timeout,
    VariableName,
)
from worker_image.message import Message as Message
from worker_image.message import QueueMeta as QueueMeta
from worker_image.permissions import PROFILES as PROFILES
from worker_image.permissions import is_allowed as is_allowed
from worker_image.signs import AgentSigns as AgentSigns
from worker_image.wire import AUTHORIZATION_SCHEME as AUTHORIZATION_SCHEME
from worker_image.wire import CONTRACT_VERSION as CONTRACT_VERSION
from worker_image.wire import DATA_FIELD as DATA_FIELD
from worker_image.wire import DEFAULT_TURN_TIMEOUT_SECONDS as DEFAULT_TURN_TIMEOUT_SECONDS
from worker_image.wire import DIRTY_REF as DIRTY_REF
from worker_image.wire import ENV_AGENT_TYPE as ENV_AGENT_TYPE
from worker_image.wire import ENV_AGENT_VARIABLES as ENV_AGENT_VARIABLES
from worker_image.wire import ENV_ALLOWED_COMMANDS as ENV_ALLOWED_COMMANDS
from worker_image.wire import ENV_API_URL as ENV_API_URL
from worker_image.wire import ENV_HOME as ENV_HOME
from worker_image.wire import ENV_INPUT_DIR as ENV_INPUT_DIR
from worker_image.wire import ENV_INSTRUCTIONS_SHA256 as ENV_INSTRUCTIONS_SHA256
from worker_image.wire import ENV_MODELS as ENV_MODELS
from worker_image.wire import ENV_REDIS_URL as ENV_REDIS_URL
from worker_image.wire import ENV_SESSION_ID as ENV_SESSION_ID
from worker_image.wire import ENV_WORKER_ID as ENV_WORKER_ID
from worker_image.wire import ENV_WORKER_TOKEN as ENV_WORKER_TOKEN
from worker_image.wire import ENV_WORKER_TYPE as ENV_WORKER_TYPE
from worker_image.wire import ENV_WORKSPACE_DIR as ENV_WORKSPACE_DIR
from worker_image.wire import ENVELOPE_VERSION as ENVELOPE_VERSION
from worker_image.wire import ENVIRONMENT_INPUT as ENVIRONMENT_INPUT
from worker_image.wire import HEADER_BASE_BRANCH as HEADER_BASE_BRANCH
from worker_image.wire import HEADER_BASE_SHA as HEADER_BASE_SHA
from worker_image.wire import HEADER_BRANCH as HEADER_BRANCH
from worker_image.wire import HEADER_BUNDLE_SHA256 as HEADER_BUNDLE_SHA256
from worker_image.wire import HEADER_HEAD_SHA as HEADER_HEAD_SHA
from worker_image.wire import HEADER_REASON as HEADER_REASON
from worker_image.wire import HEADER_REQUEST_ID as HEADER_REQUEST_ID
from worker_image.wire import HEARTBEAT_SECONDS as HEARTBEAT_SECONDS
from worker_image.wire import INPUT_GROUP as INPUT_GROUP
from worker_image.wire import INSTRUCTIONS_INPUT as INSTRUCTIONS_INPUT
from worker_image.wire import INSTRUCTIONS_MARK as INSTRUCTIONS_MARK
from worker_image.wire import MAX_BUNDLE_BYTES as MAX_BUNDLE_BYTES
from worker_image.wire import MAX_ENTRY_BYTES as MAX_ENTRY_BYTES
from worker_image.wire import MAX_ERROR_CHARS as MAX_ERROR_CHARS
from worker_image.wire import MAX_ID_CHARS as MAX_ID_CHARS
from worker_image.wire import MAX_INSTRUCTIONS_CHARS as MAX_INSTRUCTIONS_CHARS
from worker_image.wire import MAX_MESSAGE_CHARS as MAX_MESSAGE_CHARS
from worker_image.wire import MAX_PROMPT_CHARS as MAX_PROMPT_CHARS
from worker_image.wire import MAX_RESULT_BYTES as MAX_RESULT_BYTES
from worker_image.wire import MAX_SUMMARY_CHARS as MAX_SUMMARY_CHARS
from worker_image.wire import MAX_TEXT_CHARS as MAX_TEXT_CHARS
from worker_image.wire import MAX_TIMEOUT_SECONDS as MAX_TIMEOUT_SECONDS
from worker_image.wire import OUTPUT_GROUP as OUTPUT_GROUP
from worker_image.wire import PO_SESSION_TTL_SECONDS as PO_SESSION_TTL_SECONDS
from worker_image.wire import RESERVED_ENV as RESERVED_ENV
from worker_image.wire import SAVED_NOTE as SAVED_NOTE
from worker_image.wire import SESSION_TTL_SECONDS as SESSION_TTL_SECONDS
from worker_image.wire import SNAPSHOTS_PATH as SNAPSHOTS_PATH
from worker_image.wire import WAIT_FLAG as WAIT_FLAG
from worker_image.wire import WAKEUP_STREAM as WAKEUP_STREAM
from worker_image.wire import WORKSPACE_PATH as WORKSPACE_PATH
from worker_image.wire import acl_user as acl_user
from worker_image.wire import input_stream as input_stream
from worker_image.wire import instruction_file as instruction_file
from worker_image.wire import output_stream as output_stream
from worker_image.wire import session_key as session_key
from worker_image.words import AgentType as AgentType
from worker_image.words import AuthMode as AuthMode
from worker_image.words import ErrorCode as ErrorCode
from worker_image.words import LifecycleEvent as LifecycleEvent
from worker_image.words import OutputKind as OutputKind
from worker_image.words import Phase as Phase
from worker_image.words import ProgressType as ProgressType
from worker_image.words import ResultStatus as ResultStatus
from worker_image.words import SnapshotReason as SnapshotReason
from worker_image.words import WorkerCapability as WorkerCapability
from worker_image.words import WorkerType as WorkerType
from worker_image.words import WrapperExit as WrapperExit


class Usage(Message):
    """What a turn cost. Unknown is null, never zero."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost_usd: float | None = Field(default=None, ge=0)


class DeveloperWorkerInput(QueueMeta):
    """One turn of a developer."""

    request_id: Identifier
    task_id: Identifier
    project_id: Identifier
    prompt: Prompt
    timeout: Timeout = DEFAULT_TURN_TIMEOUT_SECONDS
    """Seconds the agent may take."""
    branch: Branch | None = None
    """Branch the commits are expected on; none means the turn promises no commit."""
    base_sha: Sha | None = None
    """Commit the branch starts from; none means the head of the downloaded base branch."""


class DeveloperWorkerOutput(QueueMeta):
    """How a developer's turn ended."""

    request_id: Identifier
    task_id: Identifier
    status: ResultStatus
    commit_sha: Sha | None = None
    """Head of the expected branch if it differs from the base, observed, not claimed."""
    branch: Summary | None = None
    """Branch the checkout is on at the end, observed."""
    summary: Summary | None = None
    error: Error | None = None
    error_code: ErrorCode | None = None
    reason: Reason | None = None
    """The agent's own word for why it reported a failure, such as `sentence_not_understood`."""
    exit_code: int | None = None
    duration_ms: Count
    usage: Usage | None = None


class POWorkerInput(QueueMeta):
    """One turn of a Product Owner: something a person said."""

    request_id: Identifier
    chat_id: int
    prompt: Prompt
    timeout: Timeout = DEFAULT_TURN_TIMEOUT_SECONDS


class POWorkerOutput(QueueMeta):
    """What a Product Owner answers."""

    request_id: Identifier
    chat_id: int
    text: Answer
    is_final: bool = True
    status: ResultStatus
    error: Error | None = None
    error_code: ErrorCode | None = None
    usage: Usage | None = None


class WorkerLifecycleEvent(QueueMeta):
    """What happened to a wrapper."""

    worker_id: Identifier
    event: LifecycleEvent
    exit_code: int | None = None
    error: Error | None = None


class ProgressEvent(QueueMeta):
    """Where a turn stands."""

    request_id: Identifier
    type: ProgressType
    message: Line | None = None
    current_step: Line | None = None
    progress_pct: int | None = Field(default=None, ge=0, le=100)


class Heartbeat(QueueMeta):
    """What a wrapper looks like from inside, every `HEARTBEAT_SECONDS`."""

    phase: Phase
    output_bytes: Count = 0
    """Bytes the running agent has printed."""
    files_changed_at: Moment | None = None
    children: Count = 0
    """Processes below the wrapper."""
    workspace_bytes: Count | None = None
    """What its files take on the disk; none while nobody has looked."""
    agent: AgentSigns | None = None
    """The running agent; none while there is none, and from wrappers of before this field."""


class AgentVerdict(Message):
    """What an agent puts between its result tags. Unknown keys go into `data`."""

    status: Literal["success", "failure", "in_progress"]
    summary: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _collect_unknown(cls, value: object) -> object:
        if not isinstance(value, Mapping) or not isinstance(value.get("data", {}), Mapping):
            return value
        unknown = {key: item for key, item in value.items() if key not in cls.model_fields}
        known = {key: item for key, item in value.items() if key in cls.model_fields}
        return {**known, "data": {**value.get("data", {}), **unknown}}


class WorkerConfig(Message):
    """What a worker is asked to be."""

    name: Identifier
    worker_type: WorkerType
    agent_type: AgentType
    instructions: Instructions = ""
    allowed_commands: tuple[str, ...] = ()
    capabilities: tuple[WorkerCapability, ...] = ()
    env_vars: dict[VariableName, str] = Field(default_factory=dict)
    auth_mode: AuthMode = AuthMode.API_KEY
    host_claude_dir: str | None = None
    api_key: SecretStr | None = None

    @model_validator(mode="after")
    def _check_environment(self) -> Self:
        if taken := sorted(RESERVED_ENV & self.env_vars.keys()):
            raise ValueError(f"env_vars may not set {', '.join(taken)}")
        return self


WorkerInput = DeveloperWorkerInput | POWorkerInput
OutputBody = WorkerLifecycleEvent | ProgressEvent | Heartbeat | DeveloperWorkerOutput | POWorkerOutput

_BODIES: Mapping[OutputKind, type[WorkerLifecycleEvent | ProgressEvent | Heartbeat]] = {
    OutputKind.LIFECYCLE: WorkerLifecycleEvent,
    OutputKind.PROGRESS: ProgressEvent,
    OutputKind.HEARTBEAT: Heartbeat,
}


class OutputEnvelope(Message):
    """One entry of an output stream. (worker, boot, seq) names it for ever."""

    v: Literal[1] = ENVELOPE_VERSION
    boot: Identifier
    """Nonce of one start of a wrapper; `seq` starts again at 1 with it."""
    seq: int = Field(ge=1)
    kind: OutputKind
    body: dict[str, JsonValue]

    def read_body(self) -> OutputBody:
        """Parse the body by its kind; a result is a Product Owner's if it names a chat.

        Raises:
            pydantic.ValidationError: the body does not fit.

        """
        if self.kind is not OutputKind.RESULT:
            return _BODIES[self.kind].read_value(self.body)
        model = POWorkerOutput if "chat_id" in self.body else DeveloperWorkerOutput
        return model.read_value(self.body)


def envelope(*, boot: str, seq: int, body: OutputBody) -> OutputEnvelope:
    """Wrap a body for the output stream; its kind follows from its type."""
    kinds = {model: kind for kind, model in _BODIES.items()}
    kind = next((kinds[model] for model in kinds if isinstance(body, model)), OutputKind.RESULT)
    return OutputEnvelope(boot=boot, seq=seq, kind=kind, body=body.model_dump(mode="json"))
