"""Routes of this app below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.projects.people_views import InvitationViewSet, PersonalTokenViewSet, UserViewSet
from apps.projects.stream import TaskEventStreamView
from apps.projects.views import ProjectViewSet, TaskChangeViewSet, TaskEventViewSet, TaskViewSet

router = SimpleRouter()
router.register("projects", ProjectViewSet, basename="project")
router.register("tasks", TaskViewSet, basename="task")
router.register("users", UserViewSet, basename="user")
router.register("invitations", InvitationViewSet, basename="invitation")
router.register("tokens", PersonalTokenViewSet, basename="token")

urlpatterns = [
    *router.urls,
    path("tasks/<uuid:task_id>/events/", TaskEventViewSet.as_view({"get": "list"}), name="task-events"),
    path("tasks/<uuid:task_id>/changes/", TaskChangeViewSet.as_view({"get": "list"}), name="task-changes"),
    path("tasks/<uuid:task_id>/events/stream", TaskEventStreamView.as_view(), name="task-event-stream"),
]
