"""What this app tells those above it, by ids."""

from typing import Final

from django.dispatch import Signal

webhook_switched_off: Final = Signal()  # webhook_id: UUID; sent inside the transaction that switched it off
