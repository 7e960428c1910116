"""What the schema generator cannot find out by itself: credentials, errors, headers, examples."""

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from apps import idempotency
from orchestrator.openapi_examples import EXAMPLES

#: What any operation may answer, by status.
REFUSALS: Final = {
    400: "The request is not valid; `details` names the fields.",
    401: "Nobody is signed in, or the token is not valid any more.",
    403: "These credentials may not do this.",
    404: "There is no such thing, or it is not yours.",
    406: "The API speaks JSON only.",
    409: "Somebody moved first, or the row is in no status for this.",
    412: "Somebody changed it since you looked.",
    413: "The body is too large.",
    415: "The body's type is not understood.",
    429: "Too many requests; `Retry-After` says in how many seconds.",
    503: "Something that is needed does not answer; the same request may work later.",
}


class ErrorSerializer(serializers.Serializer[Any]):
    """Why a request was refused: a stable word, a sentence, and what it is about."""

    error = serializers.CharField(help_text="A stable word to branch on.")
    message = serializers.CharField()
    details = serializers.DictField(help_text="What was wrong, by field.")


class ApiSchema(AutoSchema):
    """Adds to each operation what all have in common."""

    def get_override_parameters(self) -> list[Any]:
        """Add the headers that our decorators and mixins read."""
        parameters = list(super().get_override_parameters())
        if self._takes_key():
            parameters.append(
                OpenApiParameter(
                    idempotency.HEADER,
                    {"type": "string", "maxLength": 200},
                    OpenApiParameter.HEADER,
                    description="A repeat with the same key gets the first answer and has no second effect.",
                )
            )
        if self.method == "PATCH" and self._is_versioned():
            parameters.append(
                OpenApiParameter(
                    "If-Match",
                    str,
                    OpenApiParameter.HEADER,
                    description="The `ETag` of what you looked at; if somebody changed it since: 412.",
                )
            )
        return parameters

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        """Add errors and examples."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        error = self.resolve_serializer(ErrorSerializer, "response").ref
        for status in self._refusals(operation):
            answer = {"description": REFUSALS[status], "content": {"application/json": {"schema": error}}}
            if status == 429:
                answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}
            operation["responses"].setdefault(str(status), answer)
        example = EXAMPLES.get(operation["operationId"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if example is not None and body is not None:
            body["example"] = example
        return operation

    def _refusals(self, operation: dict[str, Any]) -> list[int]:
        may = {400, 406, 429}
        if operation.get("security") != [{}] and operation.get("security") != []:
            may |= {401, 403}
        if "{" in self.path:
            may.add(404)
        if self.method not in SAFE_METHODS:
            may |= {404, 409, 503}
        if "requestBody" in operation:
            may |= {413, 415}
        if self.method == "PATCH" and self._is_versioned():
            may.add(412)
        return sorted(may)

    def _takes_key(self) -> bool:
        action = getattr(self.view, "action", None) or self.method.lower()
        method = getattr(self.view, action, None)
        return self.method not in SAFE_METHODS and bool(getattr(method, idempotency.MARK, False))

    def _is_versioned(self) -> bool:
        return bool(getattr(self.view, "versioned", False))


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
