"""REST: what runs and Product Owners ask of people, and the answers."""

from typing import ClassVar

from django.db.models import BigIntegerField, QuerySet
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.errors import Invalid
from apps.graph import asking, services
from apps.graph.models import Question
from apps.graph.serializers import AnswerSerializer, AskSerializer, QuestionSerializer
from apps.rest import BodyParser, CommandDenied, owned, restriction_of
from apps.workers.models import Worker


class QuestionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Question]):
    """What runs and Product Owners ask of people."""

    queryset = Question.objects.all()
    serializer_class = QuestionSerializer
    parser_classes = (BodyParser,)
    filterset_fields = ("status", "run_id")
    commands: ClassVar = {"list": "task.answer", "retrieve": "task.answer", "answer": "task.answer"}

    def get_queryset(self) -> QuerySet[Question]:
        """Return what the requester is asked: about the own projects, and by the own Product Owner."""
        asked = Coalesce("owner_id", "run__task__project__owner_id", output_field=BigIntegerField())
        rows = super().get_queryset().annotate(asked_id=asked)
        return owned(self.request, rows, by="asked_id", project="run_id")

    @extend_schema(request=AnswerSerializer, responses=QuestionSerializer)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, **_: str) -> Response:
        """Answer a question; the run that waits for it, or the conversation, goes on."""
        question = self.get_object()
        _require_person(request, question)
        body = AnswerSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.answer_question(question_id=question.pk, text=body.validated_data["text"])
        return Response(QuestionSerializer(question.reload()).data)


def _require_person(request: Request, question: Question) -> None:
    """Let no worker handle a secret, or answer in its person's place what it asked itself.

    Raises:
        CommandDenied: it is a worker that tries.

    """
    if restriction_of(request) is not None and (question.secret_key or question.worker_id):
        raise CommandDenied("Permission denied: only the person can answer this question.")


class AskView(APIView):
    """What a Product Owner asks its person (``orchestrator ask``)."""

    parser_classes = (BodyParser,)
    commands: ClassVar = {"post": "respond"}
    open_to_viewers = True

    @extend_schema(request=AskSerializer, responses={201: QuestionSerializer})
    def post(self, request: Request) -> Response:
        """Ask; the answer comes as the Product Owner's next turn. Asking again in a turn asks once."""
        if not isinstance(request.auth, Worker):
            raise Invalid("Only a worker can ask; sign in with a worker's token.")
        body = AskSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        question_id = asking.ask_person(worker_id=request.auth.pk, **body.validated_data)
        answer = QuestionSerializer(Question.objects.get(pk=question_id)).data
        return Response(answer, status=status.HTTP_201_CREATED)
