"""Routes of this app below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.hooks.views import HookDeliveryViewSet, WebhookViewSet

router = SimpleRouter()
router.register("webhooks", WebhookViewSet, basename="webhook")

urlpatterns = [
    *router.urls,
    path(
        "webhooks/<uuid:webhook_id>/deliveries/",
        HookDeliveryViewSet.as_view({"get": "list"}),
        name="webhook-deliveries",
    ),
]
