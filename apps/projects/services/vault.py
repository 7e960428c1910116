"""Writes a project's secrets; values are never returned and never logged."""

import logging
import secrets
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.errors import Conflict, Invalid
from apps.projects import validation
from apps.projects.environment import DEFAULT_SECRET_BYTES
from apps.projects.environment_contract import Entry, SecretFormat
from apps.projects.manifest import MAX_SECRETS as MAX_SECRETS
from apps.projects.models import ForgeName, Project, ProjectSecret, SecretSource
from apps.projects.secrets_digest import digest_of
from apps.projects.secrets_formats import cleaned, format_problem, is_bot_token
from apps.projects.services.projects import lock_project

logger = logging.getLogger(__name__)

#: What the store of secrets at a git host takes.
HOSTED_SECRET_BYTES = 48 * 1024


class BotTokenTaken(Conflict):
    """This bot already works for another project; a bot can serve one only."""

    code = "bot_token_taken"


class OwnBotToken(Invalid):
    """This is the bot that people talk to; a project needs one of its own."""

    code = "own_bot_token"


def set_secret(*, project_id: UUID, key: str, value: str) -> None:
    """Store a value that the running project needs, or replace it.

    What the project's environment contract says about it is checked first.

    Raises:
        BotTokenTaken: another project has this bot; only its own owner is told which.
        OwnBotToken: it is the bot of this installation.
        Invalid: ``details`` maps ``key`` or ``value`` to its problem, never to the value.
        NotFound: there is no such project.

    """
    validation.refuse(validation.secret_problems(key=key, value=value))
    with transaction.atomic():
        project = lock_project(project_id)
        kind = _format_of(project, key, value)
        value = cleaned(value, kind)
        problem = format_problem(value, kind) or _size_problem(project, value)
        validation.refuse({"value": problem})
        if is_own_bot(value):
            raise OwnBotToken(details={"value": "is the bot of this installation"})
        _check_room(project_id, key)
        _store(project, key, value, kind=kind, source=SecretSource.USER)
    logger.info("Secret %s of project %s was given", key, project_id)


def generate_secrets(*, project_id: UUID, entries: Sequence[Entry]) -> None:
    """Give every generated secret that has no value its only one; what has a value is left alone.

    Args:
        project_id: whose secrets.
        entries: of the contract, with source ``generated_secret``.

    Raises:
        Invalid: there would be too many secrets.
        NotFound: there is no such project.

    """
    with transaction.atomic():
        project = lock_project(project_id)
        known = set(ProjectSecret.objects.filter(project_id=project_id).values_list("key", flat=True))
        for entry in entries:
            if entry.key in known:
                continue
            _check_room(project_id, entry.key)
            value = secrets.token_hex(entry.bytes or DEFAULT_SECRET_BYTES)
            _store(project, entry.key, value, kind="text", source=SecretSource.GENERATED)
            logger.info("Secret %s of project %s was generated", entry.key, project_id)


def delete_secret(*, project_id: UUID, key: str) -> None:
    """Delete a secret; an absent one is success."""
    ProjectSecret.objects.filter(project_id=project_id, key=key).delete()


def is_own_bot(value: str) -> bool:
    """Tell whether a value is the token of the bot that this installation speaks through."""
    return bool(value) and value.strip() == settings.TELEGRAM_BOT_TOKEN


def _format_of(project: Project, key: str, value: str) -> SecretFormat:
    """Return what a value is: a bot stays a bot where the contract speaks of a text, or not of it at all."""
    entries: list[Any] = (project.manifest or {}).get("environment") or []
    found = next((one.get("format") for one in entries if one.get("key") == key), None)
    if found in (None, "text") and is_bot_token(value.strip()):
        return "telegram_bot_token"
    return cast(SecretFormat, found or "text")


def _size_problem(project: Project, value: str) -> str | None:
    is_hosted = project.forge != ForgeName.LOCAL
    if is_hosted and len(value.encode()) > HOSTED_SECRET_BYTES:
        return f"must have at most {HOSTED_SECRET_BYTES} bytes, or the git host does not take it"
    return None


def _check_room(project_id: UUID, key: str) -> None:
    others = ProjectSecret.objects.filter(project_id=project_id).exclude(key=key)
    if others.count() >= MAX_SECRETS:
        raise Invalid(details={"key": f"a project has at most {MAX_SECRETS} secrets"})


def _store(project: Project, key: str, value: str, *, kind: SecretFormat, source: SecretSource) -> None:
    fields = {
        "value": value,
        "source": source,
        "format": "" if kind == "text" else kind,
        "digest": digest_of(value),
        "stored_at": None,
    }
    if kind == "telegram_bot_token":
        _check_bot(project, key, fields["digest"])
    try:
        with transaction.atomic():
            ProjectSecret.objects.update_or_create(project=project, key=key, defaults=fields)
    except IntegrityError as error:
        # Two projects were given one bot at the same moment.
        raise BotTokenTaken() from error


def _check_bot(project: Project, key: str, digest: Any) -> None:
    # In any format: equal digests are equal values.
    rows = ProjectSecret.objects.filter(digest=digest)
    taken = rows.exclude(project=project, key=key).select_related("project").first()
    if taken is None:
        return
    if taken.project.owner_id == project.owner_id:
        raise BotTokenTaken(
            f"This bot already works for your project {taken.project.slug}.",
            details={"project": taken.project.slug},
        )
    raise BotTokenTaken()
