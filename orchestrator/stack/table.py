"""The processes of the embedded stack: what each runs, how it says that it is ready, when it stops."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

WEB, FLOWER, BEAT, EDGE, ENTRANCE, BOT = "web", "flower", "beat", "edge", "entrance", "runbot"
#: The process of Celery that speaks for the bot; it is there where the bot is.
CHAT = "chat"
#: What a switch of the settings says when it is off.
OFF = frozenset({"0", "false", "no", "off"})
CELERY_APP = "orchestrator.celery"
#: Names the descriptor of the socket on which a process serves that was told to.
LISTEN_VARIABLE = "STACK_LISTEN_FD"

# Queues are privilege boundaries; on one machine under one account they share processes.
QUEUES = {
    "work": ("scaffold", "build", "provision", "servers", "hooks"),
    "flow": ("graph", "workers", "periodic"),
    "ingest": ("ingest",),
    # Nothing long runs here: a person waits for each message.
    CHAT: ("bot",),
}
# Who takes steps for rows, and starts workers; the other processes of Celery read what they report, and talk.
DISPATCHERS = frozenset({BEAT, "work", "flow"})
# The edge talks to strangers, so it is not handed the keys of the house.
EDGE_INHERITS = frozenset(
    {
        *("PATH", "LANG", "PYTHONUNBUFFERED", "VAR_DIR", "STACK_TOKEN", "LOG_FORMAT", "LOG_LEVEL"),
        *("WORKERS_EGRESS", "WORKERS_EGRESS_ALLOW", "WORKERS_API_URL", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        "WORKERS_MAX_CONCURRENT",
    }
)
# It forwards bytes to what agents wrote; all it asks of ours is the database.
ENTRANCE_INHERITS = frozenset(
    {"PATH", "LANG", "PYTHONUNBUFFERED", "VAR_DIR", "STACK_TOKEN", "LOG_FORMAT", "LOG_LEVEL", "DATABASE_URL"}
)
# A warm shutdown waits for a running Celery task; the soft one puts it back into its queue. With the pool of
# threads Celery fails at the start when told so; its work is short anyway.
SOFT_SHUTDOWN = {"REMAP_SIGTERM": "SIGQUIT"}
POOLS = {
    "work": ("--pool", "prefork", "--concurrency", "3"),
    "flow": ("--pool", "prefork", "--concurrency", "3"),
    "ingest": ("--pool", "threads", "--concurrency", "4"),
    CHAT: ("--pool", "prefork", "--concurrency", "2"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSpec:
    """One supervised process."""

    name: str
    argv: tuple[str, ...]
    """The program and its arguments; never a secret."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to the stack's environment."""
    inherits: frozenset[str] | None = None
    """Which variables of the stack's environment it gets; None: all."""
    ready_file: bool = False
    """It touches ``<VAR_DIR>/run/ready/<STACK_NAME>`` when it is ready."""
    ready_url: str = ""
    """It is ready when this answers 200."""
    ready_socket: Path | None = None
    """It is ready when it listens at this socket of the file system."""
    serves_web: bool = False
    """It is handed the socket that the supervisor holds on the web's port, its number in the environment."""
    stop_stage: int = 0
    """Lower stages are stopped first; one stage is stopped at once."""
    stop_seconds: float = 10.0
    """After SIGTERM; then its whole process group gets SIGKILL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Loopback ports of the processes that listen at one."""

    web: int


def default_table(ports: Ports, *, flower_socket: Path) -> tuple[ChildSpec, ...]:
    """Return the processes of every stack.

    Args:
        ports: where the web listens.
        flower_socket: where Flower listens.

    """
    workers = [_worker(name) for name in QUEUES if name != CHAT]
    return (_web(ports.web), *workers, _beat(), _flower(flower_socket))


def edge(*, installation: str, channel_url: str) -> ChildSpec:
    """Return the process that containers of workers talk to.

    Args:
        installation: whose containers they are.
        channel_url: the result channel; only its address is handed on.
    """
    parts = urlsplit(channel_url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    return ChildSpec(
        name=EDGE,
        argv=(sys.executable, "-m", "orchestrator.edge"),
        env={"WORKERS_INSTALLATION": installation, "CHANNEL_REDIS_URL": address},
        inherits=EDGE_INHERITS,
        ready_file=True,
        stop_stage=1,
        stop_seconds=5.0,
    )


def asked_for(settings: Mapping[str, str]) -> tuple[ChildSpec, ...]:
    """Return the processes that the settings decide about: the projects' entrance, and the bot."""
    has_entrance = settings.get("INFRA_LOCAL_TARGET", "").lower() not in OFF
    has_bot = bool(settings.get("TELEGRAM_BOT_TOKEN"))
    return (*((_entrance(),) if has_entrance else ()), *((_worker(CHAT), _bot()) if has_bot else ()))


def _entrance() -> ChildSpec:
    """Return the process that listens at the ports of the projects that are deployed to this machine."""
    return ChildSpec(
        name=ENTRANCE,
        argv=(sys.executable, "-m", "orchestrator.edge.entrance"),
        inherits=ENTRANCE_INHERITS,
        ready_file=True,
        stop_stage=1,
        stop_seconds=5.0,
    )


def _bot() -> ChildSpec:
    """Return the process that is the bot; there is one where the settings have a bot's token."""
    return ChildSpec(name=BOT, argv=(sys.executable, "manage.py", BOT), stop_seconds=12.0)


def _web(port: int) -> ChildSpec:
    return ChildSpec(
        name=WEB,
        argv=(sys.executable, "-m", "orchestrator.stack.web"),
        serves_web=True,
        ready_url=f"http://127.0.0.1:{port}/health/ready",
        stop_seconds=6.0,
    )


def _worker(name: str) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(
            *_celery("worker", "--hostname", f"{name}@%h", "--queues", ",".join(QUEUES[name])),
            *POOLS[name],
            *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
        ),
        env={} if "threads" in POOLS[name] else SOFT_SHUTDOWN,
        ready_file=True,
        stop_stage=1,
        stop_seconds=20.0,
    )


def _beat() -> ChildSpec:
    scheduler = "orchestrator.beat:LeadingScheduler"
    return ChildSpec(name=BEAT, argv=_celery("beat", "--pidfile", "", "--scheduler", scheduler))


def _flower(socket: Path) -> ChildSpec:
    # No port: its metrics and its health are open to whoever reaches it. The web leads there after a sign-in.
    return ChildSpec(
        name=FLOWER,
        argv=_celery("flower", f"--unix_socket={socket}", "--url_prefix=flower"),
        ready_socket=socket,
    )


def _celery(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "-A", CELERY_APP, *arguments)
