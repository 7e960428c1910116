"""What the schema generator cannot find out by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class WorkerTokenScheme(OpenApiAuthenticationExtension):
    """Describes worker tokens."""

    target_class = "apps.workers.authentication.WorkerTokenAuthentication"
    name = "workerToken"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        """Return the scheme: a header of our own."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Worker <token>`: good for one living worker and its allowed commands.",
        }


class PersonalTokenScheme(OpenApiAuthenticationExtension):
    """Describes personal tokens."""

    target_class = "apps.projects.authentication.PersonalTokenAuthentication"
    name = "personalToken"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, Any]:
        """Return the scheme: a header of our own."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>`: a person's; its scopes are `read`, `write`, `operate`.",
        }


def register() -> None:
    """Do nothing but be called: importing this module registers its extensions."""
