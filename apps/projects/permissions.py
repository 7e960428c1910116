"""Who may do what."""

from rest_framework.permissions import IsAuthenticated


class IsAllowed(IsAuthenticated):
    """Deny by default."""
