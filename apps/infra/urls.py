"""Routes of this app below ``/api/``."""

from rest_framework.routers import SimpleRouter

from apps.infra.views import PortAllocationViewSet, ServerViewSet, ServiceDeploymentViewSet

router = SimpleRouter()
router.register("servers", ServerViewSet, basename="server")
router.register("allocations", PortAllocationViewSet, basename="allocation")
router.register("service_deployments", ServiceDeploymentViewSet, basename="service-deployment")

urlpatterns = router.urls
