"""Routes of this app below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.graph.question_views import AskView, QuestionViewSet
from apps.graph.views import (
    DeploymentActionViewSet,
    RunViewSet,
    TaskActionViewSet,
    VerificationViewSet,
)

router = SimpleRouter()
router.register("tasks", TaskActionViewSet, basename="task-action")
router.register("service_deployments", DeploymentActionViewSet, basename="service-deployment-action")
router.register("runs", RunViewSet, basename="run")
router.register("questions", QuestionViewSet, basename="question")
router.register("verifications", VerificationViewSet, basename="verification")

urlpatterns = [
    *router.urls,
    # A worker's own door; without a slash at the end, like its others.
    path("worker/questions", AskView.as_view(), name="worker-questions"),
]
