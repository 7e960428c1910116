"""Runs, steps, questions, verifications and cards on the wire."""

from typing import Any

from django.utils.translation import get_language
from rest_framework import serializers

from apps.graph import asking
from apps.graph.models import Question, Run, Step
from apps.rest import StrictSerializer
from apps.workers.models import Verdict, Verification
from apps.workers.serializers import QueuePlaceSerializer


class StepSerializer(serializers.ModelSerializer[Step]):
    """One visit of a node."""

    class Meta:
        model = Step
        fields = ("seq", "node", "waiting_for", "started_at", "finished_at")
        read_only_fields = fields


class RunSerializer(serializers.ModelSerializer[Run]):
    """One execution of a flow."""

    task_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Run
        fields = (
            "id",
            "task_id",
            "flow",
            "status",
            "waiting_for",
            "worker_attempts",
            "reworks",
            "failure",
            "deadline_at",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields


class RunDetailSerializer(RunSerializer):
    """One execution of a flow with the nodes it visited."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta:
        model = Run
        fields = (*RunSerializer.Meta.fields, "steps")
        read_only_fields = fields


class QuestionSerializer(serializers.ModelSerializer[Question]):
    """Something only a person can tell; the text is in the language of ``Accept-Language``.

    Asked by a run, or by the person's Product Owner: then ``run_id`` is null and ``worker_id`` is not.
    """

    run_id = serializers.UUIDField(read_only=True, allow_null=True)
    text = serializers.SerializerMethodField()

    class Meta:
        model = Question
        fields = (
            "id",
            "run_id",
            "worker_id",
            "status",
            "text",
            "options",
            "secret_key",
            "answer",
            "deadline_at",
            "created_at",
            "answered_at",
        )
        read_only_fields = fields

    def get_text(self, question: Question) -> str:
        """Return the question in the reader's language, so far as it was put so."""
        language = (get_language() or "en").partition("-")[0]
        return str(question.texts.get(language) or question.text)


class AnswerSerializer(StrictSerializer):
    """A person's answer."""

    text = serializers.CharField(max_length=65_536, trim_whitespace=False)


class AskSerializer(StrictSerializer):
    """What a Product Owner asks its person."""

    text = serializers.CharField(max_length=asking.MAX_TEXT_CHARACTERS)
    options = serializers.ListField(
        child=serializers.CharField(max_length=asking.MAX_OPTION_CHARACTERS),
        max_length=asking.MAX_OPTIONS,
        default=list,
        help_text="The answers to choose from; none: any text is one.",
    )


class AttachSerializer(StrictSerializer):
    """Which file goes with a task."""

    attachment_id = serializers.UUIDField()


class CardLineSerializer(serializers.Serializer[Any]):
    """One line of a card; it stands for exactly one event of the timeline."""

    event_id = serializers.IntegerField()
    task_id = serializers.UUIDField()
    seq = serializers.IntegerField()
    kind = serializers.CharField()
    text = serializers.CharField()
    state = serializers.ChoiceField(choices=["done", "active", "failed"])
    at = serializers.DateTimeField()
    seconds = serializers.FloatField(allow_null=True)


class LivenessLineSerializer(serializers.Serializer[Any]):
    """How alive the agent at work is."""

    verdict = serializers.ChoiceField(choices=Verdict.choices)
    text = serializers.CharField()
    seconds = serializers.FloatField()


class CardSerializer(serializers.Serializer[Any]):
    """The live card of a task: what terminal, chat and admin draw."""

    task_id = serializers.UUIDField()
    title = serializers.CharField()
    status = serializers.CharField()
    agent = serializers.CharField(allow_blank=True)
    lines = CardLineSerializer(many=True)
    url = serializers.CharField(allow_blank=True)
    failure = serializers.DictField(allow_null=True)
    elapsed_seconds = serializers.FloatField()
    accounting = serializers.DictField(child=serializers.FloatField())
    cost_usd = serializers.FloatField(allow_null=True)
    tokens = serializers.IntegerField(allow_null=True)
    queue = QueuePlaceSerializer(allow_null=True)
    liveness = LivenessLineSerializer(allow_null=True)


class VerificationSerializer(serializers.ModelSerializer[Verification]):
    """A verification and its evidence."""

    class Meta:
        model = Verification
        fields = (
            "id",
            "project_id",
            "task_id",
            "status",
            "base_sha",
            "head_sha",
            "commands",
            "evidence",
            "log_tail",
            "failure",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields
