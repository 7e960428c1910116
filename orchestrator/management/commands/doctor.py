"""``manage.py doctor``, for the list of commands; manage.py runs it before Django is set up."""

from orchestrator import doctor
from orchestrator.management.handed_over import HandedOver


class Command(HandedOver):
    """Says what is missing and how to repair it."""

    help = "Look at this machine and the settings; one line per finding, with its repair."
    hands_over_to = staticmethod(doctor.main)
