"""Routes of this app below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.workers.attachment_views import AttachmentContentView, AttachmentsView
from apps.workers.own_views import MessagesView, SnapshotsView, WorkspaceView
from apps.workers.views import (
    AgentConfigViewSet,
    DeadLetterViewSet,
    TurnViewSet,
    WorkerViewSet,
)

router = SimpleRouter()
router.register("workers", WorkerViewSet, basename="worker")
router.register("turns", TurnViewSet, basename="turn")
router.register("agent_configs", AgentConfigViewSet, basename="agent-config")
router.register("dead_letters", DeadLetterViewSet, basename="dead-letter")

urlpatterns = [
    *router.urls,
    # A worker's own doors; without a slash at the end, as the worker contract names them.
    path("worker/workspace", WorkspaceView.as_view(), name="worker-workspace"),
    path("worker/snapshots", SnapshotsView.as_view(), name="worker-snapshots"),
    path("worker/messages", MessagesView.as_view(), name="worker-messages"),
    path("worker/attachments", AttachmentsView.as_view(), name="worker-attachments"),
    path(
        "worker/attachments/<uuid:attachment_id>",
        AttachmentContentView.as_view(),
        name="worker-attachment-content",
    ),
]
