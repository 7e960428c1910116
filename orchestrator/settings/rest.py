"""Settings of the REST API and of its description; nothing here depends on the environment."""

from datetime import timedelta
from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.workers.authentication.WorkerTokenAuthentication",
        "apps.projects.authentication.PersonalTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.rest.IsAllowed"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "orchestrator.openapi.ApiSchema",
    "DEFAULT_PAGINATION_CLASS": "apps.rest.NewestFirstPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "orchestrator.api.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["apps.throttles.TokenThrottle", "apps.throttles.PersonThrottle"],
    "PAGE_SIZE": 50,
}
KNOX_TOKEN_MODEL = "projects.PersonalToken"
# Knox's own table is not made: its model is replaced by ours.
MIGRATION_MODULES: dict[str, str | None] = {"knox": None}
REST_KNOX: dict[str, Any] = {
    "SECURE_HASH_ALGORITHM": "hashlib.sha512",
    "TOKEN_TTL": timedelta(days=90),
    "TOKEN_LIMIT_PER_USER": None,
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Codegen Orchestrator",
    "DESCRIPTION": "One message in, a tested and running project out.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ProjectStatusEnum": "apps.projects.models.ProjectStatus",
        "WorkerStatusEnum": "apps.workers.models.WorkerStatus",
        "TurnStatusEnum": "apps.workers.models.TurnStatus",
        "VerificationStatusEnum": "apps.workers.models.VerificationStatus",
        "DeadLetterStatusEnum": "apps.workers.models.DeadLetterStatus",
        "ProvisioningStatusEnum": "apps.infra.models.ProvisioningStatus",
        "ServerProviderEnum": "apps.infra.models.ServerProvider",
        "ServerHealthEnum": "apps.infra.models.ServerHealth",
        "ServerStatusEnum": "apps.infra.models.ServerStatus",
        "DeploymentStatusEnum": "apps.infra.models.DeploymentStatus",
        "RunStatusEnum": "apps.graph.models.RunStatus",
        "QuestionStatusEnum": "apps.graph.models.QuestionStatus",
        "TaskStatusEnum": "apps.projects.serializers.WIRE_STATUSES",
        "TaskEventKindEnum": "apps.projects.models.TaskEventKind",
        "ServerKindEnum": "apps.infra.models.ServerKind",
    },
}
