"""Whether Ansible reads the configuration that we ship: asked of Ansible itself, in a playbook's environment.

A configuration that is not found makes no noise: host keys go unchecked, roles are not there.
"""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from apps.errors import OrchestratorError
from apps.infra.ansible import CONFIGURATION, PLAYBOOKS, environment_of

_SECONDS: Final = 60
#: Runs beside Ansible, as it does: no directory of ours, and none of the caller's, is looked in for modules.
_ASK: Final = """
import json
from ansible import constants
from ansible.plugins.loader import connection_loader, shell_loader
connection_loader.get("ssh", class_only=True)
shell_loader.get("sh", class_only=True)
ask = constants.config.get_config_value_and_origin
ssh = {"plugin_type": "connection", "plugin_name": "ssh"}
print(json.dumps({
    "file": constants.CONFIG_FILE,
    "host_key_checking": ask("host_key_checking", **ssh),
    "pipelining": ask("pipelining", **ssh),
    "remote_tmp": ask("remote_tmp", plugin_type="shell", plugin_name="sh"),
    "retry_files_enabled": ask("RETRY_FILES_ENABLED"),
    "any_errors_fatal": ask("ANY_ERRORS_FATAL"),
    "roles_path": ask("DEFAULT_ROLES_PATH"),
}, default=str))
"""
#: What our file says; where Ansible has it from must be that file, too.
_SHIPPED: Final[Mapping[str, Any]] = {
    "host_key_checking": True,
    "pipelining": True,
    "remote_tmp": "~/.ansible/tmp",
    "retry_files_enabled": False,
    "any_errors_fatal": True,
    "roles_path": [str(PLAYBOOKS / "roles")],
}


class AnsibleSilent(OrchestratorError):
    """Ansible does not say what configuration it has loaded; run `make setup`."""

    code = "ansible_silent"


def problems() -> Sequence[str]:
    """Return what is wrong with the configuration, each with what to do; nothing: it is ours, all of it."""
    found = list(_writable())
    try:
        return [*found, *differences(loaded())]
    except AnsibleSilent as error:
        return [*found, error.message]


def loaded() -> dict[str, Any]:
    """Return what Ansible loads in the environment of a playbook: its file, and values with their origins.

    Raises:
        AnsibleSilent: it does not start, or says something else.
    """
    with tempfile.TemporaryDirectory(prefix="ansible-") as place:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _ASK],
                env=environment_of(os.environ, home=Path(place), marker="configuration"),
                cwd=PLAYBOOKS,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
            said = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise AnsibleSilent() from error
    if not isinstance(said, dict):
        raise AnsibleSilent()
    return said


def differences(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield where what was loaded is not what is shipped."""
    if said.get("file") != str(CONFIGURATION):
        yield f"Ansible has read {said.get('file')} instead of {CONFIGURATION}; remove that file."
        return
    for name, shipped in _SHIPPED.items():
        value, origin = (*(said.get(name) or ()), None, None)[:2]
        if value != shipped or origin != str(CONFIGURATION):
            yield (
                f"Ansible has {name} = {value!r} from {origin}, not {shipped!r} from {CONFIGURATION}; "
                "remove that setting, or restore the file."
            )


def _writable() -> Iterator[str]:
    """Yield which of our files anybody could replace: whoever can would be root on every server."""
    for path in (PLAYBOOKS, *sorted(PLAYBOOKS.rglob("*"))):
        if _is_anybodys(path):
            yield f"Anybody may write to {path}; chmod o-w {path}"
    for parent in PLAYBOOKS.parents:
        if _is_anybodys(parent) and not parent.stat().st_mode & stat.S_ISVTX:
            yield f"Anybody may replace what is in {parent}; chmod o-w {parent}"


def _is_anybodys(path: Path) -> bool:
    return not path.is_symlink() and bool(path.stat().st_mode & stat.S_IWOTH)
