"""Routes of this app below ``/api/``."""

from rest_framework.routers import SimpleRouter

from apps.infra.server_views import ProvisioningViewSet, ServerViewSet
from apps.infra.views import PortAllocationViewSet, ServiceDeploymentViewSet
from apps.infra.watch_views import IncidentViewSet, ServerMetricViewSet

router = SimpleRouter()
router.register("servers", ServerViewSet, basename="server")
router.register("provisionings", ProvisioningViewSet, basename="provisioning")
router.register("allocations", PortAllocationViewSet, basename="allocation")
router.register("service_deployments", ServiceDeploymentViewSet, basename="service-deployment")
router.register("incidents", IncidentViewSet, basename="incident")
router.register("server_metrics", ServerMetricViewSet, basename="server-metric")

urlpatterns = router.urls
