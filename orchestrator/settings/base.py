"""Settings of every process: flat, typed constants with their units in the name."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.utils.translation import gettext_lazy as _

from apps.units.environment import PASSED_THROUGH
from orchestrator.edge import ports as edge_ports
from orchestrator.env import ROOT, env
from orchestrator.installation import BASE_IMAGE, bridge_name, entrance_socket, flower_socket, installation_id
from orchestrator.logging import configure_structlog, logging_config
from orchestrator.settings.api import *
from orchestrator.settings.bot import *
from orchestrator.settings.projects import *
from orchestrator.settings.rest import *
from orchestrator.settings.servers import *

# --- Where things are -------------------------------------------------------
BASE_DIR: Path = ROOT
VAR_DIR: Path = env.path("VAR_DIR", ROOT / "var")
FORGE_DIR: Path = VAR_DIR / "forge"
UNITS_DIR: Path = VAR_DIR / "units"
TOOLS_DIR: Path = VAR_DIR / "tools"
PACKAGE_CACHE_DIR: Path = VAR_DIR / "cache" / "uv"
# What package installers in units need of our environment: certificates, indexes, proxies.
UNITS_OUTER_ENVIRONMENT: dict[str, str] = env.select(PASSED_THROUGH)
DEPLOYMENTS_DIR: Path = VAR_DIR / "deployments"
DATA_DIR: Path = VAR_DIR / "data"

# --- Django -----------------------------------------------------------------
SECRET_KEY: str = env.str("SECRET_KEY")
DEBUG: bool = env.bool("DEBUG", False)
# With DEBUG, too, no error page shows the value of a variable or of a field.
DEFAULT_EXCEPTION_REPORTER_FILTER = "orchestrator.error_pages.NoValues"
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", "")
ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"
WSGI_APPLICATION = "orchestrator.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "projects.User"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

INSTALLED_APPS: list[str] = [
    "unfold",
    "orchestrator.apps.LateAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_structlog",
    "apps.periodic",
    "apps.projects",
    "apps.workers",
    "apps.infra",
    "apps.graph",
    "apps.bot",
    "apps.hooks",
    "apps.documents",
    "orchestrator.apps.OrchestratorConfig",
]

MIDDLEWARE: list[str] = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "orchestrator.audit.ApiAuditMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "orchestrator" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_database = urlsplit(env.str("DATABASE_URL"))
DATABASE_URL: str = _database.geturl()
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/"),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname or "",
        "PORT": str(_database.port or ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        # A pool per process. Advisory locks belong to a session, so a pooler that
        # shares sessions between transactions must not stand in between.
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 12, "timeout": 15}, "connect_timeout": 5},
    }
}

AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [BASE_DIR / "orchestrator" / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT: Path = VAR_DIR / "static"
WHITENOISE_USE_FINDERS = True
# Bundles and other files that several processes share; never served as they are.
MEDIA_ROOT: Path = VAR_DIR / "storage"
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# Fernet keys for secrets at rest, newest first.
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS")

# --- Logs -------------------------------------------------------------------
LOG_FORMAT: str = env.str("LOG_FORMAT", "json")
LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO")
LOGGING: dict[str, Any] = logging_config(log_format=LOG_FORMAT, level=LOG_LEVEL)
configure_structlog()
DJANGO_STRUCTLOG_CELERY_ENABLED = True
DJANGO_STRUCTLOG_COMMAND_LOGGING_ENABLED = False

# --- Celery -----------------------------------------------------------------
REDIS_URL: str = env.str("REDIS_URL")
# The result channel is a server of its own: a worker that floods it must not
# be able to stop the broker.
CHANNEL_REDIS_URL: str = env.str("CHANNEL_REDIS_URL")
VISIBILITY_TIMEOUT_SECONDS = 1_200

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "periodic"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_TASK_ACKS_LATE = True
# A poison message must not loop: a sweep repairs what a killed process left.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 120
CELERY_TASK_TIME_LIMIT = 180
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
# Only tasks with an ETA would need it, and there are none; idle processes stop at once.
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
# True makes a 5.6.3 worker exit when Redis goes away (docs/decisions.md).
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Of several beats one sends: orchestrator/beat.py.
CELERY_BEAT_SCHEDULER = "orchestrator.beat:LeadingScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 2
CELERY_TIMEZONE = "UTC"

# --- GitHub: where projects live with PROJECTS_FORGE=github -----------------
GITHUB_ORG: str = env.str("GITHUB_ORG", "")
GITHUB_APP_ID: str = env.str("GITHUB_APP_ID", "")
# A file with the app's private key, or the key itself: the PEM, or its base64.
GITHUB_APP_PRIVATE_KEY_PATH: str = env.str("GITHUB_APP_PRIVATE_KEY_PATH", "")
GITHUB_APP_PRIVATE_KEY: str = env.str("GITHUB_APP_PRIVATE_KEY", "")
# GitHub Enterprise: https://HOST/api/v3
GITHUB_API_BASE_URL: str = env.str("GITHUB_API_BASE_URL", "https://api.github.com")
# Without it there is no webhook, and polling alone tells what happened.
GITHUB_WEBHOOK_SECRET: str = env.str("GITHUB_WEBHOOK_SECRET", "")
# Shared by all processes; GitHub allows an installation 5,000 calls an hour and 100 at once.
GITHUB_HOURLY_BUDGET: int = env.int("GITHUB_HOURLY_BUDGET", 4_500)
GITHUB_MAX_CONCURRENT: int = env.int("GITHUB_MAX_CONCURRENT", 100)

# --- workers ----------------------------------------------------------------
# auto: docker where a daemon answers and the workers' base image can be had, else process.
WORKERS_RUNTIME: str = env.str("WORKERS_RUNTIME", "auto")
WORKERS_BASE_IMAGE: str = env.str("WORKERS_BASE_IMAGE", BASE_IMAGE)
WORKERS_IMAGE_PREFIX: str = env.str("WORKERS_IMAGE_PREFIX", "codegen-worker")
# Certificates (*.crt) that the workers' images trust besides the public ones.
WORKERS_EXTRA_CA_DIR: Path = env.path("WORKERS_EXTRA_CA_DIR", Path("/usr/local/share/ca-certificates"))
# Everything of ours on a Docker daemon carries this word; nothing without it is ever touched.
WORKERS_INSTALLATION: str = env.str("WORKERS_INSTALLATION", installation_id(SECRET_KEY))
# The way to the Docker daemon for what builds images, as Docker's own tools read it.
WORKERS_DOCKER_ENVIRONMENT: dict[str, str] = env.select(
    ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG")
)
WORKERS_BRIDGE: str = bridge_name(WORKERS_INSTALLATION)
# open: public addresses through the edge's proxy, and WORKERS_EGRESS_ALLOW; none: no proxy.
WORKERS_EGRESS: str = env.str("WORKERS_EGRESS", "open")
WORKERS_EGRESS_ALLOW: list[str] = env.list("WORKERS_EGRESS_ALLOW", "")
WORKERS_ALLOW_DOCKER_SOCKET: bool = env.bool("WORKERS_ALLOW_DOCKER_SOCKET", False)
WORKERS_HOST_SESSION_DIRS: list[str] = env.list("WORKERS_HOST_SESSION_DIRS", "")
WORKERS_EDGE_API_PORT: int = edge_ports.API
WORKERS_EDGE_CHANNEL_PORT: int = edge_ports.CHANNEL
WORKERS_EDGE_PROXY_PORT: int = edge_ports.PROXY
# Where an agent's program is found besides the system's directories, by workers that run as processes.
WORKERS_TOOLS_DIRS: list[str] = env.list("WORKERS_TOOLS_DIRS", "")
WORKERS_DEFAULT_AGENT: str = env.str("WORKERS_DEFAULT_AGENT", "auto")
WORKERS_API_URL: str = env.str("WORKERS_API_URL", "http://127.0.0.1:8000")
WORKERS_MAX_CONCURRENT: int = env.int("WORKERS_MAX_CONCURRENT", 10)
WORKERS_QUEUE_DEADLINE_SECONDS = 300
WORKERS_SPAWN_DEADLINE_SECONDS = 60
WORKERS_TURN_TIMEOUT_SECONDS: int = env.int("WORKERS_TURN_TIMEOUT_SECONDS", 1_800)
WORKERS_VERIFICATION_DEADLINE_SECONDS = 600
# How long an agent that is judged stalled is left to recover before its turn ends.
WORKERS_STALL_SECONDS: int = env.int("WORKERS_STALL_SECONDS", 180)
# What one worker may use, unless its agent's configuration says otherwise.
WORKERS_MEMORY_MB: int = env.int("WORKERS_MEMORY_MB", 2_048)
WORKERS_CPUS: float = env.float("WORKERS_CPUS", 1.0)
# Containers kept ready for the next workers: each takes some 35 MiB of memory, and next to no processor.
WORKERS_WARM_POOL: int = env.int("WORKERS_WARM_POOL", 0)
WORKERS_PIDS: int = env.int("WORKERS_PIDS", 256)
WORKERS_DISK_MB: int = env.int("WORKERS_DISK_MB", 10_240)
# A Product Owner without a word to answer stands still, later than any turn lasts, and then is stopped.
WORKERS_PO_PAUSE_SECONDS = max(2_100, WORKERS_TURN_TIMEOUT_SECONDS + 300)
WORKERS_PO_STOP_SECONDS = 86_400
WORKERS_STOP_GRACE_SECONDS = 10
WORKERS_FLOOD_ENTRIES_PER_MINUTE = 6_000
ANTHROPIC_API_KEY: str = env.str("ANTHROPIC_API_KEY", "")
ANTHROPIC_BASE_URL: str = env.str("ANTHROPIC_BASE_URL", "")
OPENAI_API_KEY: str = env.str("OPENAI_API_KEY", "")
OPENAI_BASE_URL: str = env.str("OPENAI_BASE_URL", "")
FACTORY_API_KEY: str = env.str("FACTORY_API_KEY", "")
# A gateway that speaks Anthropic's protocol, asked instead of Factory's own models with FACTORY_API_KEY.
FACTORY_BASE_URL: str = env.str("FACTORY_BASE_URL", "")

# --- infra ------------------------------------------------------------------
INFRA_LOCAL_HOST = "127.0.0.1"
INFRA_PORT_RANGE_START: int = env.int("INFRA_PORT_RANGE_START", 21_000)
INFRA_PORT_RANGE_END: int = env.int("INFRA_PORT_RANGE_END", 21_999)
# Where the process answers that listens at the projects' ports.
INFRA_ENTRANCE_SOCKET = entrance_socket(VAR_DIR)
INFRA_DEPLOYMENT_DEADLINE_SECONDS = 300
# How long a release that a workflow put on its server may take to answer from outside.
INFRA_ANSWER_DEADLINE_SECONDS = 90
# A bot or a worker must have run so long without a restart before it counts as well.
INFRA_STABLE_SECONDS = 5
# Asked whether a bot's token is known; elsewhere only for those who run a Bot API server of their own.
TELEGRAM_API_BASE_URL: str = env.str("TELEGRAM_API_BASE_URL", "https://api.telegram.org")

# --- graph ------------------------------------------------------------------
GRAPH_WORKFLOW_DEADLINE_SECONDS: int = env.int("GRAPH_WORKFLOW_DEADLINE_SECONDS", 1_800)
GRAPH_MAX_WORKER_ATTEMPTS = 3
GRAPH_MAX_REWORKS = 2
GRAPH_MAX_REBASES = 3

# --- admin ------------------------------------------------------------------
# Moments to the second and by the 24-hour clock: operators compare them with logs.
FORMAT_MODULE_PATH = ["orchestrator.formats"]
# Where Flower listens: unix:///path or http://host:port. Only the web may reach it (orchestrator/flower.py).
FLOWER_URL: str = env.str("FLOWER_URL", f"unix://{flower_socket(VAR_DIR)}")
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Orchestrator"),
    "SITE_HEADER": _("Orchestrator"),
    "SITE_SUBHEADER": _("From a sentence to a URL"),
    "SITE_SYMBOL": "conversion_path",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": False,
    "BORDER_RADIUS": "6px",
    "STYLES": ["orchestrator.dashboard.stylesheet"],
    "SCRIPTS": ["orchestrator.dashboard.script"],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "orchestrator.dashboard.favicon"}],
    "DASHBOARD_CALLBACK": "orchestrator.dashboard.dashboard",
    "SIDEBAR": {"show_search": True, "navigation": "orchestrator.dashboard.navigation"},
}
