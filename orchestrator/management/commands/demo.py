"""``manage.py demo``, for the list of commands; manage.py runs it before Django is set up."""

from orchestrator import demo
from orchestrator.management.handed_over import HandedOver


class Command(HandedOver):
    """Runs the whole chain on one sentence."""

    help = "Build, check and deploy what a sentence asks for, with its live card."
    hands_over_to = staticmethod(demo.main)
