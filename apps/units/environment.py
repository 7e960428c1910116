"""The environment a unit is given: clean, and with what package installers need to work here."""

import os
from collections.abc import Mapping

from apps.units.toolchain import Toolchain

SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")

#: What is taken over from our own environment if it is there. Certificates, package indexes and proxies:
#: without them no installer works behind a company's firewall. A password inside such an address
#: becomes known to the unit, as it must; nothing else of ours does.
PASSED_THROUGH = frozenset(
    {
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_NO_INDEX",
        "PIP_TRUSTED_HOST",
        "PIP_DEFAULT_TIMEOUT",
        "UV_DEFAULT_INDEX",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX_STRATEGY",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
        "UV_INSECURE_HOST",
        "UV_HTTP_TIMEOUT",
        "UV_SYSTEM_CERTS",
        "UV_NATIVE_TLS",
        "UV_OFFLINE",
        "NPM_CONFIG_REGISTRY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "TZ",
    }
)


def base_environment(tools: Toolchain, *, outer: Mapping[str, str]) -> dict[str, str]:
    """Return what every unit's environment begins with; ``Units`` adds HOME, TMPDIR and INPUT_DIR.

    Args:
        tools: what ``toolchain.prepare`` returned.
        outer: the environment of the control plane, of which only ``PASSED_THROUGH`` is taken.
    """
    passed = {name: outer[name] for name in sorted(PASSED_THROUGH & outer.keys())}
    return {
        "PATH": os.pathsep.join((str(tools.directory), *tools.extra, *SYSTEM_PATH)),
        "LANG": "C.UTF-8",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # A downloaded interpreter would end up in the unit's home and be downloaded again by the next.
        "UV_PYTHON_DOWNLOADS": "never",
        **passed,
    }
