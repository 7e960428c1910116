"""The words for how alive a worker is, and why it is judged so."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    """How alive a worker is; exactly one at any time."""

    STARTING = "starting", _("Starting")
    THINKING = "thinking", _("Thinking")  # its agent shows signs of life of its own
    TOOL_RUNNING = "tool_running", _("Running a tool")  # something that it started works for it
    WAITING_HUMAN = "waiting_human", _("Waiting for someone")  # nothing is owed; the next word is not its own
    STALLED = "stalled", _("Stalled")  # it owes something and shows no sign of life
    DEAD = "dead", _("Dead")


class Ground(models.TextChoices):
    """What a verdict rests on."""

    # Starting.
    NO_PLACE = "no_place", _("it waits for a place")
    NO_IMAGE = "no_image", _("its image is being built")
    NO_WORD = "no_word", _("its container has not reported yet")
    NO_TURN = "no_turn", _("it is ready and was not asked anything yet")
    TURN_ON_ITS_WAY = "turn_on_its_way", _("its turn is on the way to it")
    PREPARING = "preparing", _("it prepares its checkout")
    AGENT_STARTS = "agent_starts", _("its agent was just started")
    # Thinking: the freshest sign of life.
    TRAFFIC = "traffic", _("its model talks to it")
    TRANSCRIPT = "transcript", _("its transcript grows")
    OUTPUT = "output", _("it prints")
    FILES = "files", _("it changes files")
    CPU = "cpu", _("it computes")
    NO_SIGNS_KNOWN = "no_signs_known", _("its wrapper cannot tell more than that it runs")
    # A tool runs.
    TOOL = "tool", _("a program works for it")
    UPLOADING = "uploading", _("it hands over its work")
    STOPPING = "stopping", _("it was asked to stop and puts its work away")
    # It waits for someone.
    PERSON = "person", _("it waits for its person's next message")
    BETWEEN_TURNS = "between_turns", _("its turn is over and it was not asked anything else")
    PAUSED = "paused", _("it sleeps until it is spoken to")
    TERMINAL = "terminal", _("a program waits for somebody to type")
    # Stalled.
    SILENCE = "silence", _("no output, no file, no traffic, no computing and no tool")
    FROZEN = "frozen", _("its agent was stopped by a signal")
    NEVER_SPOKE = "never_spoke", _("its agent never did anything")
    NO_HEARTBEAT = "no_heartbeat", _("its container runs but its wrapper is silent")
    # Dead.
    EXITED = "exited", _("its container has ended")
    LOST = "lost", _("its container is gone and nobody recorded how it ended")
    OUT_OF_MEMORY = "out_of_memory", _("it used more memory than it may")
    AGENT_GONE = "agent_gone", _("its agent has ended")
    FINISHED = "finished", _("it was let go after its work")
    CANCELED = "canceled", _("it was canceled")
    FAILED = "failed", _("it was ended for a reason of its own")
