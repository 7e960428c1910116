"""Routes of this app below ``/api/``."""

from rest_framework.routers import SimpleRouter

from apps.graph.views import (
    DeploymentActionViewSet,
    QuestionViewSet,
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

urlpatterns = router.urls
