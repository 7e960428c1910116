"""The way of our git to hosts elsewhere."""

from collections.abc import Mapping


def network_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return of the outer environment what git needs to reach a host elsewhere."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")
    kept = {name: outer[name] for name in names if outer.get(name)}
    bundle = outer.get("GIT_SSL_CAINFO") or outer.get("SSL_CERT_FILE") or outer.get("REQUESTS_CA_BUNDLE")
    return {**kept, "GIT_SSL_CAINFO": bundle} if bundle else kept
