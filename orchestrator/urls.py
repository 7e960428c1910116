"""Every route of the web process."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.bot import webhook as telegram_webhook
from apps.projects import webhooks
from orchestrator import health, openapi
from orchestrator.flower import flower
from orchestrator.tokens import SignInView, SignOutView

admin.autodiscover()
openapi.register()

handler404 = "orchestrator.api.page_not_found"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("webhooks/github", webhooks.github, name="github-webhook"),
    path("webhooks/telegram", telegram_webhook.telegram, name="telegram-webhook"),
    path("admin/", admin.site.urls),
    path("flower/", flower, {"path": ""}, name="flower"),
    path("flower/<path:path>", flower),
    path("api/", RedirectView.as_view(pattern_name="docs"), name="api-root"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/login/", SignInView.as_view(), name="login"),
    path("api/logout/", SignOutView.as_view(), name="logout"),
    path("api/", include("apps.projects.urls")),
    path("api/", include("apps.workers.urls")),
    path("api/", include("apps.infra.urls")),
    path("api/", include("apps.graph.urls")),
    path("api/", include("apps.hooks.urls")),
    path("api/", include("apps.documents.urls")),
]
