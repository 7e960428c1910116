"""Names and limits of the worker contract: keys, environment, HTTP headers, sizes (see `contract`)."""

from collections.abc import Mapping
from typing import Final

CONTRACT_VERSION: Final = "1"
ENVELOPE_VERSION: Final = 1

INPUT_GROUP = "wrapper"
"""Consumer group of an input stream. The control plane creates it at 0; a worker's user may not."""
OUTPUT_GROUP = "control-plane"
"""Consumer group of every output stream."""
WAKEUP_STREAM = "worker:wakeup"
"""Control stream that tells result consumers that the list of workers changed. No worker may touch it."""
DATA_FIELD = "data"
"""The one field of every stream entry: JSON of the message."""

ENV_WORKER_ID = "WORKER_ID"
ENV_WORKER_TYPE = "WORKER_TYPE"
ENV_AGENT_TYPE = "AGENT_TYPE"
ENV_REDIS_URL = "REDIS_URL"
ENV_API_URL = "API_URL"
ENV_WORKER_TOKEN = "WORKER_TOKEN"
ENV_ALLOWED_COMMANDS = "ALLOWED_COMMANDS"
ENV_SESSION_ID = "SESSION_ID"
ENV_WORKSPACE_DIR = "WORKSPACE_DIR"
ENV_HOME = "HOME"
ENV_INPUT_DIR = "INPUT_DIR"
"""Where a container finds the files it was started with."""
ENV_INSTRUCTIONS_SHA256 = "INSTRUCTIONS_SHA256"
"""Digest of the instructions among these files; a worker that does not find them never starts its agent."""
ENV_AGENT_VARIABLES = "AGENT_VARIABLES"
"""JSON list of the names in `WorkerConfig.env_vars`: the agent gets these variables too."""
ENV_MODELS: Final[Mapping[str, str]] = {
    "claude": "ANTHROPIC_MODEL",
    "factory": "FACTORY_MODEL",
    "codex": "CODEX_MODEL",
}
"""Agent type -> variable that names its model."""
RESERVED_ENV = frozenset(
    {
        ENV_WORKER_ID,
        ENV_WORKER_TYPE,
        ENV_AGENT_TYPE,
        ENV_REDIS_URL,
        ENV_API_URL,
        ENV_WORKER_TOKEN,
        ENV_ALLOWED_COMMANDS,
        ENV_SESSION_ID,
        ENV_WORKSPACE_DIR,
        ENV_AGENT_VARIABLES,
        ENV_INPUT_DIR,
        ENV_INSTRUCTIONS_SHA256,
    }
)
"""Names a `WorkerConfig.env_vars` may not set: the control plane owns them."""

ENVIRONMENT_INPUT = "environment.json"
"""Name of the file in which a spare container gets its environment; a directory of that name: it took it."""
WAIT_FLAG = "--wait"
"""What makes a command wait for that file."""
INSTRUCTIONS_INPUT = "instructions.md"
"""Name of the instructions among a container's inputs."""
INSTRUCTIONS_MARK = "<!-- Standing orders of this worker; not part of the project: never commit them. -->"
"""First line of an instruction file; a commit that carries it is refused."""
MAX_INSTRUCTIONS_CHARS = 100_000
_INSTRUCTION_FILES: Final[Mapping[str, str]] = {"claude": "CLAUDE.md"}

WORKSPACE_PATH = "/api/worker/workspace"
SNAPSHOTS_PATH = "/api/worker/snapshots"
AUTHORIZATION_SCHEME = "Worker"
HEADER_BASE_SHA = "X-Base-Sha"
HEADER_BASE_BRANCH = "X-Base-Branch"
HEADER_BUNDLE_SHA256 = "X-Bundle-Sha256"
HEADER_REQUEST_ID = "X-Request-Id"
HEADER_HEAD_SHA = "X-Head-Sha"
HEADER_BRANCH = "X-Branch"
HEADER_REASON = "X-Reason"
SAVED_NOTE = ".git/worker-saved.json"
"""Where a wrapper notes, in its workspace, until when all is stored (`saved_at`, `is_saved`, `is_final`)."""
DIRTY_REF = "refs/worker/dirty"
"""Ref of a periodic or stop bundle that holds a commit of the uncommitted tree."""

MAX_ENTRY_BYTES = 900_000
"""Bytes of one stream entry; the channel server refuses bulks over 1 MiB."""
MAX_PROMPT_CHARS = 200_000
MAX_TEXT_CHARS = 100_000
"""Characters of a Product Owner's answer."""
MAX_SUMMARY_CHARS = 10_000
MAX_ERROR_CHARS = 10_000
MAX_MESSAGE_CHARS = 2_000
"""Characters of one progress message."""
MAX_ID_CHARS = 200
MAX_RESULT_BYTES = 200_000
"""Bytes of what an agent puts between its result tags."""
MAX_BUNDLE_BYTES = 100 * 1024 * 1024
"""Bytes of one git bundle, down or up."""
MAX_TIMEOUT_SECONDS = 24 * 3600

DEFAULT_TURN_TIMEOUT_SECONDS = 1800
HEARTBEAT_SECONDS = 5.0
SESSION_TTL_SECONDS = 7200
PO_SESSION_TTL_SECONDS = 24 * 3600


def instruction_file(agent_type: str) -> str:
    """Return the name under which an agent looks for its instructions in its working directory."""
    return _INSTRUCTION_FILES.get(agent_type, "AGENTS.md")


def input_stream(worker_id: str) -> str:
    """Return the key of the stream a worker reads its turns from."""
    return f"worker:{worker_id}:input"


def output_stream(worker_id: str) -> str:
    """Return the key of the stream a worker appends its reports to."""
    return f"worker:{worker_id}:output"


def session_key(worker_id: str) -> str:
    """Return the key of a worker's session (JSON with `session_id`)."""
    return f"worker:session:{worker_id}"


def acl_user(worker_id: str) -> str:
    """Return the name of a worker's own user on the channel server."""
    return f"worker-{worker_id}"
