"""Facts this app announces; they carry ids and are hints, never the truth."""

from django.dispatch import Signal

#: ``deployment_id``: a deployment reached another status.
deployment_changed = Signal()

#: ``provisioning_id``, ``goes_on``: an attempt to set a server up has ended; whether another one follows.
provisioning_ended = Signal()

#: ``incident_id``: something went wrong, or is over.
incident_changed = Signal()
