"""Routes of this app below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from apps.documents.views import DocumentViewSet

router = SimpleRouter()
router.register("documents", DocumentViewSet, basename="document")

urlpatterns = [
    *router.urls,
    path(
        "projects/<uuid:project_id>/documents/",
        DocumentViewSet.as_view({"get": "list"}),
        name="project-documents",
    ),
]
