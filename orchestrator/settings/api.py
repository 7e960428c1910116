"""Settings of what strangers may ask of the API."""

from typing import Any

from orchestrator.env import env
from orchestrator.outbound import OutboundRules

# Requests a minute of one person over all of their tokens, and of one token, of all web processes together.
API_REQUESTS_PER_MINUTE: int = env.int("API_REQUESTS_PER_MINUTE", 2_400)
API_REQUESTS_PER_MINUTE_PER_TOKEN: int = env.int("API_REQUESTS_PER_MINUTE_PER_TOKEN", 1_200)

# Each process's own, and one for all in the broker's server; nobody waits long for that.
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "shared": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("REDIS_URL"),
        "KEY_PREFIX": "web",
        "OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
    },
}

# Where webhooks may lead besides public addresses: HOST[:PORT], .DOMAIN[:PORT], ADDRESS, CIDR.
WEBHOOKS_ALLOW: list[str] = env.list("WEBHOOKS_ALLOW", "")
WEBHOOKS_JUDGE = OutboundRules(WEBHOOKS_ALLOW)
