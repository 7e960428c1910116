"""Settings of what strangers may ask of the API."""

from orchestrator.env import env
from orchestrator.outbound import OutboundRules

# Requests a minute of one person over all of their tokens, and of one token;
# each web process counts for itself.
API_REQUESTS_PER_MINUTE: int = env.int("API_REQUESTS_PER_MINUTE", 2_400)
API_REQUESTS_PER_MINUTE_PER_TOKEN: int = env.int("API_REQUESTS_PER_MINUTE_PER_TOKEN", 1_200)

# Where webhooks may lead besides public addresses: HOST[:PORT], .DOMAIN[:PORT], ADDRESS, CIDR.
WEBHOOKS_ALLOW: list[str] = env.list("WEBHOOKS_ALLOW", "")
WEBHOOKS_JUDGE = OutboundRules(WEBHOOKS_ALLOW)
