"""Routes of this app below ``/api/``."""

from rest_framework.routers import SimpleRouter

from apps.graph.views import QuestionViewSet, RunViewSet, TaskActionViewSet, VerificationViewSet

router = SimpleRouter()
router.register("tasks", TaskActionViewSet, basename="task-action")
router.register("runs", RunViewSet, basename="run")
router.register("questions", QuestionViewSet, basename="question")
router.register("verifications", VerificationViewSet, basename="verification")

urlpatterns = router.urls
