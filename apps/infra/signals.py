"""Facts this app announces; they carry ids and are hints, never the truth."""

from django.dispatch import Signal

#: ``deployment_id``: a deployment reached another status.
deployment_changed = Signal()
