"""What every REST view shares: permission, ownership, strict input, pages."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ParseError, PermissionDenied
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.roles import ALL_SCOPES, Powers, Scope, powers
from worker_image.contract import is_allowed

if TYPE_CHECKING:
    # REST framework reads the settings, which name this module, when that one is imported.
    from rest_framework.views import APIView


Row = TypeVar("Row", bound=Model)


@runtime_checkable
class Restricted(Protocol):
    """Credentials that are good for some commands only (a worker's token)."""

    allowed_commands: list[str]


@runtime_checkable
class Scoped(Protocol):
    """Credentials that are good for some kinds of acts only (a person's token)."""

    scopes: list[str]


def restriction_of(request: Request) -> Restricted | None:
    """Return the restricted credentials of a request; None for a person."""
    return request.auth if isinstance(request.auth, Restricted) else None


#: The command of what only a worker itself may call.
WORKERS_ONLY = "-"


class CommandDenied(PermissionDenied):
    """These credentials are not allowed to run that command."""

    default_code = "permission_denied"


class IsAllowed(BasePermission):
    """Deny by default: signed in, and, for a worker's token, the view's command is allowed.

    A view names the command of each of its actions in ``commands``
    (``{"list": "project.list"}``, or a tuple of alternatives). An action without
    a command is for people; ``WORKERS_ONLY`` marks what only a worker's token
    may call, whatever its commands. ``open_to_viewers`` marks a view whose
    writes are about the requester alone, ``any_scope`` one that every token may use.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Tell whether the request may reach the view.

        Raises:
            CommandDenied: a worker's token lacks the command; the message names it.
        """
        if not (request.user and request.user.is_authenticated):
            return False
        _require_power(request, view)
        commands: Mapping[str, str | tuple[str, ...]] = getattr(view, "commands", {})
        action = getattr(view, "action", None) or (request.method or "").lower()
        # Django answers HEAD by the view's ``get``.
        action = "get" if action == "head" else action
        named = commands.get(action, ())
        if restriction_of(request) is None:
            return named != WORKERS_ONLY
        if named != WORKERS_ONLY:
            alternatives = (named,) if isinstance(named, str) else named
            require_command(request, *alternatives, what=f"{type(view).__name__}.{action}")
        return True


def require_command(request: Request, *commands: str, what: str = "this") -> None:
    """Let a person pass, and a worker's token only if one of the commands is allowed to it.

    Args:
        request: whose credentials count.
        commands: alternatives; none of them means that no worker may pass.
        what: the thing to name when there is no command.

    Raises:
        CommandDenied: naming the command.
    """
    worker = restriction_of(request)
    if worker is None or any(is_allowed(worker.allowed_commands, command) for command in commands):
        return
    name = " or ".join(commands) or what
    raise CommandDenied(f"Permission denied: this worker is not allowed to run {name}.")


def user_id(request: Request) -> int:
    """Return the id of the person who asks, or for whom a worker asks."""
    return int(request.user.pk or 0)


class IsOperator(IsAllowed):
    """Only people who run the installation; never a worker."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Tell whether the request comes from an operator."""
        return super().has_permission(request, view) and powers_of(request).operates


class IsOwner(IsAllowed):
    """Only people who may say who comes in; never a worker."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Tell whether the request comes from an owner of the installation."""
        return super().has_permission(request, view) and powers_of(request).manages_people


def powers_of(request: Request) -> Powers:
    """Return what the credentials of a request allow."""
    person: Any = request.user
    return powers(person.role, scopes=scopes_of(request), is_worker=restriction_of(request) is not None)


def scopes_of(request: Request) -> frozenset[str]:
    """Return the scopes of a request's credentials: a personal token's own, else all."""
    return frozenset(request.auth.scopes) if isinstance(request.auth, Scoped) else frozenset(ALL_SCOPES)


def _require_power(request: Request, view: "APIView") -> None:
    if getattr(view, "any_scope", False):
        return
    if request.method in SAFE_METHODS:
        if Scope.READ not in scopes_of(request):
            raise _lacks(Scope.READ)
    else:
        require_changes(request, as_viewer=getattr(view, "open_to_viewers", False))


def require_changes(request: Request, *, as_viewer: bool = False) -> None:
    """Let nobody pass who may only look.

    Args:
        request: whose credentials count.
        as_viewer: whether a viewer may do this (it is about themselves).

    Raises:
        CommandDenied: the requester is a viewer, or the token is not for changes.
    """
    if Scope.WRITE not in scopes_of(request):
        raise _lacks(Scope.WRITE)
    if not as_viewer:
        require_not_viewer(request)


def require_not_viewer(request: Request) -> None:
    """Let nobody pass whose role is to look at projects only.

    Raises:
        CommandDenied: the requester is a viewer.
    """
    if not powers_of(request).touches:
        raise CommandDenied("Permission denied: a viewer may look at projects and change nothing.")


def _lacks(scope: Scope) -> CommandDenied:
    return CommandDenied(f"Permission denied: this token lacks the scope {scope.value}.")


def owned(request: Request, rows: QuerySet[Row], *, by: str, project: str | None = None) -> QuerySet[Row]:
    """Return only the rows the requester may see.

    Operators see every row, viewers every row of a project. A worker's token
    acts as its owner and never beyond, even when the owner is an operator.

    Args:
        request: whose credentials count.
        rows: what to filter.
        by: lookup of the owner's id, such as ``project__owner_id``.
        project: lookup of the project's id, if rows may have none; such rows are
            between their owner and a worker, and no viewer's business.
    """
    may = powers_of(request)
    if not may.sees_all:
        return rows.filter(**{by: request.user.pk})
    if may.operates or project is None:
        return rows
    return rows.filter(Q(**{by: request.user.pk}) | Q(**{f"{project}__isnull": False}))


class BodyParser(JSONParser):
    """Reads JSON; a body that is nested too deeply is the sender's fault and not ours."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's value.

        Raises:
            ParseError: it is not JSON, or nested too deeply.
        """
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt field must not be silently dropped."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate the request's body.

        Raises:
            ValidationError: naming each unknown or malformed field.
        """
        if isinstance(data, Mapping):
            unknown = set(data) - {name for name, field in self.fields.items() if not field.read_only}
            if unknown:
                raise serializers.ValidationError({name: ["Unknown field."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class NewestFirstPagination(CursorPagination):
    """Cursor pages, newest first; stable while rows are added."""

    ordering = "-created_at"
    page_size_query_param = "page_size"
    max_page_size = 200
    #: Rows without ``created_at`` name their own order in the view.
    by_view: ClassVar[str] = "page_ordering"

    def decode_cursor(self, request: Request) -> Any:
        """Read the position.

        Raises:
            ValidationError: it is not one of ours; the thing asked for exists all the same.
        """
        try:
            return super().decode_cursor(request)
        except NotFound as error:
            raise serializers.ValidationError({"cursor": "Invalid cursor."}) from error

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        """Return the view's ``page_ordering``, else the newest first."""
        own = getattr(view, self.by_view, None)
        return (own,) if own else super().get_ordering(request, queryset, view)
