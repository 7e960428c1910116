"""REST: webhooks, their deliveries, and a trial."""

from functools import partial
from uuid import UUID

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.errors import Invalid
from apps.hooks import services
from apps.hooks.models import HookAttempt, HookDelivery, Webhook
from apps.hooks.outbound import refusal_of
from apps.hooks.serializers import (
    HookDeliverySerializer,
    NewWebhookSerializer,
    WebhookCreateSerializer,
    WebhookSerializer,
    WebhookUpdateSerializer,
)
from apps.idempotency import idempotent
from apps.rest import BodyParser, CommandDenied, owned, powers_of, require_not_viewer, user_id
from apps.versions import VersionedMixin, tagged, unchanged


def visible_webhooks(request: Request) -> QuerySet[Webhook]:
    """Return the requester's webhooks, an operator's everybody's; an address may be a secret to viewers."""
    require_not_viewer(request)
    return owned(request, Webhook.objects.all(), by="owner_id")


def _require_reachable(url: str) -> None:
    """Tell now what every delivery would be told; where a name leads is judged again at each of them.

    Raises:
        Invalid: the address is refused by the rules of this installation.

    """
    if services.url_problem(url) is None and (refusal := refusal_of(url, judge=settings.WEBHOOKS_JUDGE)):
        raise Invalid(details={"url": refusal})


class WebhookViewSet(mixins.ListModelMixin, VersionedMixin, GenericViewSet[Webhook]):
    """Addresses that are told what happens to projects."""

    queryset = Webhook.objects.all()
    serializer_class = WebhookSerializer
    filterset_fields = ("is_active", "owner_id")
    parser_classes = (BodyParser,)

    def get_queryset(self) -> QuerySet[Webhook]:
        """Return the webhooks the requester may see."""
        return visible_webhooks(self.request)

    @extend_schema(request=WebhookCreateSerializer, responses={201: NewWebhookSerializer})
    @partial(idempotent, shown_once="secret")
    def create(self, request: Request) -> Response:
        """Make a webhook; the secret of its signatures is in this answer and nowhere else."""
        body = WebhookCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if body.validated_data["all_projects"] and not powers_of(request).operates:
            raise CommandDenied("Permission denied: you may be told about your own projects only.")
        _require_reachable(body.validated_data["url"])
        webhook, secret = services.create_webhook(owner_id=user_id(request), **body.validated_data)
        answer = {**WebhookSerializer(webhook).data, "secret": secret}
        return Response(answer, status=status.HTTP_201_CREATED)

    @extend_schema(request=WebhookUpdateSerializer, responses=WebhookSerializer)
    def partial_update(self, request: Request, **_: str) -> Response:
        """Change a webhook, or switch it on or off."""
        webhook = self.get_object()
        body = WebhookUpdateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if "url" in body.validated_data:
            _require_reachable(body.validated_data["url"])
        with unchanged(request, webhook):
            services.update_webhook(webhook_id=webhook.pk, **body.validated_data)
        webhook.refresh_from_db()
        return tagged(webhook, WebhookSerializer(webhook).data)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_: str) -> Response:
        """Delete a webhook and what it was told."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={202: HookDeliverySerializer})
    @action(detail=True, methods=["post"])
    def ping(self, _request: Request, **_: str) -> Response:
        """Have the webhook told ``ping``; its delivery shows what came of it."""
        delivery = services.ping(webhook_id=self.get_object().pk)
        return Response(HookDeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


class HookDeliveryViewSet(mixins.ListModelMixin, GenericViewSet[HookDelivery]):
    """What one webhook is owed and was told, newest first; kept for 14 days."""

    queryset = HookDelivery.objects.all()
    serializer_class = HookDeliverySerializer
    filterset_fields = ("status", "event")

    def get_queryset(self) -> QuerySet[HookDelivery]:
        """Return the deliveries of one webhook that the requester may see."""
        webhook_id: UUID = self.kwargs["webhook_id"]
        webhook = get_object_or_404(visible_webhooks(self.request), pk=webhook_id)
        tries = Prefetch("tries", HookAttempt.objects.order_by("number"))
        return super().get_queryset().filter(webhook=webhook).prefetch_related(tries)
