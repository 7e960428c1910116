"""Set up a fresh machine: state directory, pinned uv, virtual environment, warm package cache.

Needs nothing but Python 3.11 and its pip (or ensurepip); does nothing when everything is up to date.
Run by ``make setup`` and, with the word ``compile``, by ``make requirements``. Prints one line per step that
had something to do, with its seconds.
"""

import fcntl
import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"
PROJECT_REQUIREMENTS = ROOT / "apps" / "projects" / "template" / "project" / "requirements"
sys.path.insert(0, str(ROOT))  # for what these files import of ours
PLACES = runpy.run_path(str(ROOT / "orchestrator" / "embedded" / "places.py"))
ENVFILE = runpy.run_path(str(ROOT / "orchestrator" / "envfile.py"))
REGISTRIES = runpy.run_path(str(ROOT / "scripts" / "registries.py"))
index_configuration = REGISTRIES["index_configuration"]


class SetupFailed(SystemExit):
    """A step failed; the message says which and what to do."""


def main() -> None:
    """Bring everything up to date."""
    os.umask(0o022)
    var_dir: Path = PLACES["prepare_var_dir"](ENVFILE["find_var_dir"](os.environ, ROOT))
    bootstrap = var_dir / "bootstrap"
    bootstrap.mkdir(mode=0o755, exist_ok=True)
    with (bootstrap / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ensure_environment(var_dir)
        warm_cache(var_dir)


def step(title: str, action: Callable[[], object]) -> None:
    """Run one step and print how long it took."""
    began = time.monotonic()
    action()
    print(f"  {title:<44} {time.monotonic() - began:6.1f} s", flush=True)


def ensure_environment(var_dir: Path) -> None:
    """Make ``.venv`` hold exactly the pinned packages."""
    stamp = VENV / ".complete"
    version, requirement = pinned_uv()
    wanted = digest(REQUIREMENTS, Path(__file__), extra=f"{VENV.resolve()} {sys.version}")
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Setting up (once; repeated only when requirements change)", flush=True)
    uv = var_dir / "bootstrap" / f"uv-{version}" / "bin" / "uv"
    if not uv.exists():
        step(f"uv {version}", lambda: bootstrap_uv(uv.parent.parent, requirement))
    if not is_usable(VENV):
        title = f"virtual environment ({sys.version.split()[0]})"
        step(title, lambda: create_environment(uv, place_of(var_dir)))
        wanted = digest(REQUIREMENTS, Path(__file__), extra=f"{VENV.resolve()} {sys.version}")
    sync = ["pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
    python = VENV.resolve() / "bin" / "python"
    step("pinned packages", lambda: run_uv(uv, *sync, "--python", str(python), str(REQUIREMENTS)))
    stamp.write_text(wanted)


def pinned_uv() -> tuple[str, str]:
    """Return the version of uv in requirements/base.txt and its whole entry with hashes."""
    text = (ROOT / "requirements" / "base.txt").read_text()
    entry = re.search(r"^uv==(\S+)(?:.*\\\n)(?:[ \t]+--hash=\S+(?: \\)?\n?)+", text, re.MULTILINE)
    if entry is None:
        raise SetupFailed("requirements/base.txt does not pin uv with hashes")
    return entry.group(1), entry.group(0)


def bootstrap_uv(target: Path, requirement: str) -> None:
    """Install the pinned uv into a directory of its own, checked against its hashes."""
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        directory = Path(name)
        (directory / "uv.txt").write_text(requirement)
        options = ["--quiet", "--require-hashes", "--no-deps", "--disable-pip-version-check"]
        argv = [*find_pip(directory), "install", *options, "--target", str(directory / "uv")]
        run([*argv, "-r", str(directory / "uv.txt")])
        (directory / "uv").chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        (directory / "uv").rename(target)


def find_pip(scratch: Path) -> list[str]:
    """Return a command that runs some pip: the interpreter's own, else one made by ensurepip."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    made = subprocess.run([sys.executable, "-m", "venv", str(scratch / "venv")], capture_output=True)
    if made.returncode == 0:
        return [str(scratch / "venv" / "bin" / "python"), "-m", "pip"]
    raise SetupFailed(
        f"{sys.executable} has neither pip nor ensurepip. Install one of them"
        " (Debian and Ubuntu: apt-get install python3-venv) and repeat."
    )


def is_usable(venv: Path) -> bool:
    """Tell whether the environment works, belongs to this place and this interpreter."""
    config = venv / "pyvenv.cfg"
    script = venv / "bin" / "celery"
    if not config.exists() or not (venv / "bin" / "python").exists():
        return False
    home = re.search(r"^home *= *(.*)$", config.read_text(), re.MULTILINE)
    # Console scripts name their interpreter: they break when the checkout is moved.
    moved = script.exists() and str(venv.resolve()) not in script.read_text()[:300]
    return not moved and home is not None and Path(home.group(1)) == Path(sys.executable).parent


def place_of(var_dir: Path) -> Path:
    """Return where the environment may live so that the workers' uids can run it."""
    if os.geteuid() == 0 and not PLACES["reachable_by_others"](ROOT):
        return var_dir / "venv"
    return VENV


def create_environment(uv: Path, place: Path) -> None:
    """Create an empty environment at ``place``, which ``.venv`` is or links to."""
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    shutil.rmtree(place, ignore_errors=True)
    run_uv(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(place))
    if place != VENV:
        VENV.symlink_to(place)


def warm_cache(var_dir: Path) -> None:
    """Fill the package cache of generated projects, so that their set-up takes seconds and no network."""
    lists = sorted(PROJECT_REQUIREMENTS.glob("*.txt"))
    if not lists:
        return
    cache = var_dir / "cache" / "uv"
    stamp = var_dir / "cache" / "uv.complete"
    wanted = digest(*lists, ROOT / "scripts" / "registries.py", extra=sys.version)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    cache.mkdir(parents=True, exist_ok=True)
    REGISTRIES["remember"](var_dir / "installers.env")
    step("package cache of generated projects", lambda: fill_cache(cache, lists))
    stamp.write_text(wanted)


def fill_cache(cache: Path, lists: list[Path]) -> None:
    """Install the packages of all modules of the template into a throw-away environment."""
    uv = VENV.resolve() / "bin" / "uv"
    with tempfile.TemporaryDirectory(dir=cache.parent) as name:
        venv = Path(name) / "venv"
        options = ("--quiet", "--cache-dir", str(cache))
        run_uv(uv, "venv", *options, "--no-project", "--python", sys.executable, str(venv))
        python = str(venv / "bin" / "python")
        run_uv(uv, "pip", "sync", *options, "--require-hashes", "--python", python, *map(str, lists))
    compile_bytecode(cache)


def compile_bytecode(cache: Path) -> None:
    """Put bytecode beside the cached sources, so that no fresh environment compiles them again.

    It is marked as never checked against its source: uv copies files without their times, which the
    usual check compares. The source is pinned by hash, so the two cannot drift apart.
    """
    argv = [sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # Some packages ship sources for other versions of Python on purpose; those stay uncompiled.
    subprocess.run([*argv, str(cache / "archive-v0")], capture_output=True)


def compile_requirements(*options: str) -> None:
    """Compile ``requirements/*.in`` into the pinned, hashed lists that the set-up installs."""
    uv = VENV.resolve() / "bin" / "uv"
    fixed = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes")
    quiet = ("--no-emit-index-url", "--no-annotate", "--no-header")
    for name in ("base", "dev"):
        source, target = (f"requirements/{name}.{suffix}" for suffix in ("in", "txt"))
        command = ("pip", "compile", source, "--output-file", target, *fixed, *quiet, *options)
        step(target, partial(run_uv, uv, *command))
    # The workers' image installs lists of its own, at the versions of ours.
    of_workers = {
        "worker_image/requirements.txt": ("worker_image/pyproject.toml",),
        "worker_image/tools.txt": ("--group", "worker_image/pyproject.toml:tools"),
    }
    for target, what in of_workers.items():
        output = ("--output-file", target, "--constraint", "requirements/base.txt")
        command = ("pip", "compile", *what, *output, *fixed, *quiet, "--no-emit-find-links", *options)
        step(target, partial(run_uv, uv, *command))
    compile_template(uv, *fixed, *quiet, "--no-emit-find-links", *options)


def compile_template(uv: Path, *options: str) -> None:
    """Compile the lists of the template's modules, later ones at the versions of earlier ones."""
    constraints: list[str] = []
    for name in ("backend", "frontend", "telegram", "tests"):
        source, target = (str(PROJECT_REQUIREMENTS / f"{name}.{suffix}") for suffix in ("in", "txt"))
        command = ("pip", "compile", source, "--output-file", target, *constraints, *options)
        step(f"{name}.txt of the template", partial(run_uv, uv, *command))
        constraints += ["--constraint", target]


def run_uv(uv: Path, *arguments: str) -> None:
    """Run uv with the machine's own registry configuration."""
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    for variable, value in index_configuration().items():
        environment.setdefault(variable, value)
    run([str(uv), *arguments], environment)


def run(argv: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only when it fails."""
    result = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        output = (result.stdout + result.stderr).strip()[-3_000:]
        raise SetupFailed(f"{Path(argv[0]).name} {argv[1]} exited {result.returncode}:\n{output}")


def digest(*paths: Path, extra: str) -> str:
    """Return one digest of files and a text."""
    total = hashlib.sha256(extra.encode())
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    if sys.argv[1:2] == ["compile"]:
        compile_requirements(*sys.argv[2:])
    else:
        main()
