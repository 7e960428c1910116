"""Settings of servers: who rents them to us, and when one of them is unwell."""

from orchestrator.env import env

# Which servers of a provider may be touched, each PROVIDER:ID; none of them unless it is named here.
INFRA_MANAGED_SERVER_IDS: list[str] = env.list("INFRA_MANAGED_SERVER_IDS", "")
# Let a server that is itself a container count as set up, although Docker and the firewall are left out.
INFRA_CONTAINER_SERVERS: bool = env.bool("INFRA_CONTAINER_SERVERS", False)
INFRA_PROVISIONING_SECONDS = 900
INFRA_PROVISIONING_ATTEMPTS = 3
INFRA_MAX_PROVISIONINGS = 1
# How long the word that a server may be erased counts, and how long its provider may take for it.
INFRA_REINSTALL_AUTHORIZATION_SECONDS = 900
INFRA_REINSTALL_SECONDS = 3_600

# The account at Time4VPS; without it nobody is asked for servers.
TIME4VPS_USERNAME: str = env.str("TIME4VPS_USERNAME", "")
TIME4VPS_PASSWORD: str = env.str("TIME4VPS_PASSWORD", "")
TIME4VPS_API_BASE_URL: str = env.str("TIME4VPS_API_BASE_URL", "https://billing.time4vps.com/api")

# The ports that services are given on a server that was found; an operator may change them on its page.
SERVERS_PORT_RANGE_START = 20_000
SERVERS_PORT_RANGE_END = 20_999
# Successful listings in a row that must not name a server before it counts as missing.
SERVERS_MISSES = 3
# How many servers are looked at at once, and how long one of them may take.
SERVERS_HEALTH_CONNECTIONS: int = env.int("SERVERS_HEALTH_CONNECTIONS", 50)
SERVERS_HEALTH_SECONDS = 10.0
# Looks in a row that must not reach a server before it counts as unreachable.
SERVERS_UNREACHABLE_AFTER = 3
# So many at least, and such a share of those looked at, falling silent in one round are our own network's.
SERVERS_SILENT_LEAST = 3
SERVERS_SILENT_PERCENT = 60
# Percent of the disk in use that is a warning, and critical; percent of the memory that must be left.
SERVERS_DISK_WARNING_PERCENT: int = env.int("SERVERS_DISK_WARNING_PERCENT", 80)
SERVERS_DISK_CRITICAL_PERCENT: int = env.int("SERVERS_DISK_CRITICAL_PERCENT", 90)
SERVERS_MEMORY_LEFT_PERCENT: int = env.int("SERVERS_MEMORY_LEFT_PERCENT", 5)
SERVERS_METRICS_DAYS = 7
# An older measurement tells nothing any more; a service counts as so large until it is measured; so much disk
# stays free.
SERVERS_METRICS_FRESH_SECONDS = 600
SERVERS_SERVICE_MEMORY_MB = 128
SERVERS_FREE_DISK_MB = 1_024
# Looks in a row that a deployed service must fail, and how many days before its end a certificate is a worry.
SERVERS_PROBE_FAILURES = 3
SERVERS_CERTIFICATE_DAYS = 14
# How often what a server archives is restored on trial, and for how long at most; when such a trial, and when
# the newest archive of a project, is too old.
SERVERS_DRILL_HOURS = 20
SERVERS_DRILL_SECONDS = 300.0
SERVERS_DRILL_MAX_HOURS = 72
SERVERS_ARCHIVE_MAX_HOURS = 36
