"""Which package registries this machine is configured for: for uv, for units, and for workers' containers.

Standard library only; part of the set-up of a fresh machine.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

# pip's option → uv's variable. Registries are configured for pip on most machines, and uv does not read that.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}
SETTING = re.compile(r"^(?P<section>[^.]+)\.(?P<option>[a-z-]+)=(?P<value>.*)$")
#: pip knows its default index by itself; asking it keeps the name out of this repository.
DEFAULT_INDEX = "from pip._internal.models.index import PyPI as i; print(i.netloc, i.file_storage_domain)"


def index_configuration() -> dict[str, str]:
    """Translate pip's configured registries into uv's variables."""
    if any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    found: dict[str, str] = {}
    for option, value in pip_settings().items():
        if option in PIP_TO_UV and value:
            separator = "," if option == "find-links" else " "
            found[PIP_TO_UV[option]] = separator.join(value.split())
    if "UV_INDEX" in found:
        # As pip does: look at every registry. Every package is pinned by hash, so none can be swapped.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def remember(path: Path) -> None:
    """Keep the registries this set-up used for the workers, whose packages must come from the same ones."""
    values = index_configuration()
    if hosts := registry_hosts(values):
        # Names only: the edge lets containers reach them even where they resolve to a company's own address.
        values["WORKERS_REGISTRY_HOSTS"] = ",".join(hosts)
    lines = "".join(f"{name}={value}\n" for name, value in sorted(values.items()))
    # A registry's address may carry a password.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)


def registry_hosts(values: dict[str, str]) -> list[str]:
    """Return the hosts of every package registry that pip, uv and npm use here, sorted."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
    words = " ".join((values | dict(os.environ)).get(name, "") for name in names).split()
    words += [f"https://{host}" for host in answer(sys.executable, "-c", DEFAULT_INDEX).split()]
    if npm := shutil.which("npm"):
        words.append(answer(npm, "config", "get", "registry"))
    found = (urlsplit(word) for word in words if word.startswith(("http://", "https://")))
    return sorted({f"{one.hostname}:{one.port}" if one.port else str(one.hostname) for one in found})


def answer(*argv: str) -> str:
    """Return what a program says, nothing if it fails."""
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""


def pip_settings() -> dict[str, str]:
    """Return pip's effective settings: its files, then ``PIP_*`` variables."""
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        match = SETTING.match(line)
        if match and match["section"] in ("global", "install"):
            settings[match["option"]] = str(ast.literal_eval(match["value"]))
    for option in PIP_TO_UV:
        value = os.environ.get("PIP_" + option.upper().replace("-", "_"))
        if value:
            settings[option] = value
    return settings
