"""Writes personal tokens."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from apps.errors import Conflict, Invalid
from apps.projects.models import PersonalToken
from apps.roles import ALL_SCOPES

DEFAULT_TTL = timedelta(days=90)
MAX_TTL = timedelta(days=366)
MAX_TOKENS = 50
_NAME_CHARACTERS = 80


class TooManyTokens(Conflict):
    """This person has as many tokens as one may have; revoke some."""

    code = "too_many_tokens"


def issue_token(
    *, person_id: int, name: str, scopes: Collection[str] = ALL_SCOPES, ttl: timedelta = DEFAULT_TTL
) -> tuple[PersonalToken, str]:
    """Make a token; returns it with its words, which nothing can show again.

    Args:
        person_id: whose; the token can do what that person can, and no more than its scopes.
        name: by which the person tells it from others.
        scopes: what it is good for.
        ttl: how long it is good.

    Raises:
        Invalid: ``details`` maps each refused argument to its problem.
        TooManyTokens: revoke some first; of the same name the oldest gives way.

    """
    problems = {}
    if not name.strip() or len(name) > _NAME_CHARACTERS or not name.isprintable():
        problems["name"] = f"must be 1 to {_NAME_CHARACTERS} printable characters"
    if not scopes or not set(scopes) <= ALL_SCOPES:
        problems["scopes"] = "must be some of " + ", ".join(sorted(ALL_SCOPES))
    if not timedelta(0) < ttl <= MAX_TTL:
        problems["ttl"] = f"must be at most {MAX_TTL.days} days"
    if problems:
        raise Invalid(details=problems)
    theirs = PersonalToken.objects.filter(user_id=person_id)
    theirs.filter(expiry__lte=timezone.now()).delete()
    if theirs.count() >= MAX_TOKENS:
        # Whoever signs in again and again from one machine is not locked out by it.
        oldest = theirs.filter(name=name.strip()).order_by("created").first()
        if oldest is None:
            raise TooManyTokens()
        oldest.delete()
    digest, words = get_digest_token()
    token = PersonalToken.objects.create(
        digest=digest,
        token_key=words[: CONSTANTS.TOKEN_KEY_LENGTH],
        user_id=person_id,
        expiry=timezone.now() + ttl,
        name=name.strip(),
        scopes=sorted(set(scopes)),
    )
    return token, words


def revoke_token(*, person_id: int, public_id: UUID) -> bool:
    """Make one of a person's tokens good for nothing; a missing one is success.

    Returns:
        Whether there was such a token.

    """
    deleted, _ = PersonalToken.objects.filter(user_id=person_id, public_id=public_id).delete()
    return deleted > 0
