"""Personal tokens on their way in: ``Authorization: Token <token>``."""

import binascii
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed

from apps.projects.models import PersonalToken, User

if TYPE_CHECKING:
    from rest_framework.authentication import TokenAuthentication
else:
    from knox.auth import TokenAuthentication

#: "Last used" is written at most this often, so that reading stays reading.
_TOUCH_EVERY = timedelta(minutes=1)


class PersonalTokenAuthentication(TokenAuthentication):
    """Knox's scheme with one query, and a note of when the token was used."""

    def authenticate_credentials(self, token: Any) -> tuple[User, Any]:
        """Return the person and the token.

        Raises:
            AuthenticationFailed: it is malformed, unknown or expired, or the person has left.

        """
        try:
            digest = hash_token(token.decode("ascii"))
        except (UnicodeDecodeError, binascii.Error) as error:
            raise AuthenticationFailed("The token is malformed.") from error
        row = PersonalToken.objects.select_related("user").filter(digest=digest).first()
        if row is None:
            raise AuthenticationFailed("The token is not valid.")
        now = timezone.now()
        if row.expiry is not None and row.expiry <= now:
            raise AuthenticationFailed("The token has expired.")
        if not row.user.is_active:
            raise AuthenticationFailed("The token's owner may not act.")
        if row.last_used_at is None or row.last_used_at <= now - _TOUCH_EVERY:
            PersonalToken.objects.filter(pk=row.pk).update(last_used_at=now)
        return row.user, row
