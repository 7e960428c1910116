"""What the rules of this repository say about its shape, read from the sources themselves."""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator import celery, schedule
from orchestrator.env import ROOT, env
from orchestrator.stack import table

pytestmark = pytest.mark.unit

PACKAGES = ("apps", "orchestrator", "worker_image", "scripts")
MODULE_LINES, FUNCTION_LINES = 300, 40
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
ROUTED = {route["queue"] for route in celery.app.conf.task_routes.values()}
# The one way to Celery; the watcher of ended units knows names, not Celery tasks, and tries again itself.
SENDERS = {"apps/enqueue.py", "apps/workers/consumer_step.py"}


@cache
def sources(*packages: str) -> tuple[Path, ...]:
    """Our own modules: neither what Django writes nor what a generated project consists of."""
    found = (path for package in packages for path in sorted((ROOT / package).rglob("*.py")))
    template = ROOT / "apps" / "projects" / "template"
    return tuple(
        path for path in found if "migrations" not in path.parts and not path.is_relative_to(template)
    )


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def nodes(kind: Any, *packages: str) -> Iterator[tuple[str, Any]]:
    for path in sources(*packages):
        yield from ((name_of(path), node) for node in ast.walk(tree_of(path)) if isinstance(node, kind))


def our_tasks() -> dict[str, Any]:
    celery.app.loader.import_default_modules()
    owners = {name: task.__module__.partition(".")[0] for name, task in celery.app.tasks.items()}
    # Celery's own are registered too, and those of pytest-celery once its conftest was collected.
    return {name: celery.app.tasks[name] for name, owner in owners.items() if owner in PACKAGES}


# --- The environment and the queues, as written down ------------------------


def test_env_example_lists_exactly_the_variables_that_settings_and_compose_ask_for():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    composed = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))

    listed = [line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")]

    assert sorted(listed) == sorted(env.asked | composed)


def test_settings_alone_read_the_environment_through_env():
    askers = {
        name
        for name, node in nodes(ast.ImportFrom, *PACKAGES)
        if node.module == "orchestrator.env" and any(alias.name == "env" for alias in node.names)
    }

    names = ("api", "base", "bot", "projects", "servers")
    assert askers == {f"orchestrator/settings/{name}.py" for name in names}


def test_embedded_stack_consumes_every_queue_once():
    consumed = [queue for queues in table.QUEUES.values() for queue in queues]

    assert sorted(consumed) == sorted(celery.QUEUES)


def test_readme_names_every_queue_that_anything_is_routed_to_and_no_other():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What belongs where")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]

    named = {queue for row in rows for queue in re.findall(r"`(\w+)`", row[3])}

    assert named >= ROUTED
    assert named <= set(celery.QUEUES)


def test_map_of_the_plans_names_points_at_tests_that_exist():
    text = (ROOT / "docs" / "seed-map.md").read_text(encoding="utf-8")
    ours = " ".join("|".join(line.split("|")[2:]) for line in text.splitlines() if line.startswith("|"))
    tests = {node.name for _, node in nodes(ast.FunctionDef | ast.AsyncFunctionDef, "tests")}

    named = set(re.findall(r"`(test_\w+)`", ours))
    places = set(re.findall(r"`((?:tests|apps|worker_image|orchestrator)/[\w/.]+)`", ours))

    assert len(named) > 50
    assert named - tests == set()
    assert {place for place in places if not (ROOT / place).exists()} == set()


# --- Celery tasks -----------------------------------------------------------


def test_every_celery_task_says_its_name():
    unnamed = [
        f"{name}:{node.lineno} {node.name}"
        for name, node in nodes(ast.FunctionDef, "apps", "orchestrator")
        for decorator in node.decorator_list
        if "shared_task" in ast.unparse(decorator) or ast.unparse(decorator).startswith("app.task")
        if not (isinstance(decorator, ast.Call) and any(key.arg == "name" for key in decorator.keywords))
    ]

    assert unnamed == []


def test_celery_tasks_are_named_by_their_app_and_a_verb_and_only_once():
    declared = Counter(
        ast.literal_eval(key.value)
        for _, node in nodes(ast.Call, "apps", "orchestrator")
        if ast.unparse(node.func) == "shared_task"
        for key in node.keywords
        if key.arg == "name"
    )

    registered = our_tasks()

    assert set(declared) == set(registered)
    assert [name for name, count in declared.items() if count > 1] == []
    for name, task in registered.items():
        app, _, verb = name.partition(".")
        assert app in {task.__module__.split(".")[1], "periodic"}, name
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", verb), name


def test_every_celery_task_is_routed_to_a_queue_that_somebody_consumes():
    routes = {name: celery.app.amqp.router.route({}, name)["queue"].name for name in our_tasks()}

    assert routes
    assert set(routes.values()) <= set(celery.QUEUES)
    assert all(route == "periodic" for name, route in routes.items() if name.startswith("periodic."))


def test_celery_tasks_take_keywords_only():
    positional = [
        f"{name}({parameter})"
        for name, task in our_tasks().items()
        for parameter in inspect.signature(task.run).parameters.values()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]

    assert positional == []


def test_schedule_names_celery_tasks_that_exist():
    scheduled = {entry.task for entry in schedule.ENTRIES}

    assert scheduled <= set(our_tasks())


def test_work_is_handed_to_celery_in_one_place():
    senders = {
        name
        for name, node in nodes(ast.Attribute, *PACKAGES)
        if node.attr in {"delay", "apply_async", "send_task", "delay_on_commit", "apply_async_on_commit"}
    }

    assert senders == SENDERS


# --- Rows -------------------------------------------------------------------


def test_statuses_move_through_the_lifecycle_alone():
    assigned = [
        f"{name}:{node.lineno}"
        for name, node in nodes(ast.Assign | ast.AugAssign | ast.AnnAssign, "apps", "orchestrator")
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "status" and name != "apps/lifecycle.py"
    ]
    updated = [
        f"{name}:{node.lineno}"
        for name, node in nodes(ast.Call, "apps", "orchestrator")
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"update", "update_or_create"}
        if any(key.arg == "status" for key in node.keywords) and name != "apps/lifecycle.py"
    ]

    assert assigned + updated == []


# --- Ports ------------------------------------------------------------------


def ports() -> list[tuple[str, str]]:
    """Return (module, protocol) of what an app may be given in several kinds."""
    return [
        (name.removesuffix(".py").replace("/", "."), node.name)
        for name, node in nodes(ast.ClassDef, "apps")
        if name.endswith("/base.py") and any(ast.unparse(base) == "Protocol" for base in node.bases)
    ]


def imports_of(path: Path) -> set[str]:
    froms = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in froms for alias in node.names} | {
        str(node.module) for node in froms
    }


def test_every_port_is_known():
    assert {protocol for _, protocol in ports()} >= {"Forge", "ContainerRuntime", "DeployTarget"}


@pytest.mark.parametrize(("module", "protocol"), ports())
def test_every_port_has_a_fake_that_passes_its_conformance_suite(module: str, protocol: str):
    fakes = [path for path in (ROOT / "tests").glob("fakes_*.py") if module in imports_of(path)]
    suites = [path for path in (ROOT / "tests/conformance").glob("test_*.py") if module in imports_of(path)]

    fake_names = {
        node.name
        for path in fakes
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Fake")
    }
    tested = " ".join(
        name.rpartition(".")[2] for path in suites for name in imports_of(path) if name.startswith("tests.")
    )

    assert fake_names, protocol
    assert suites, protocol
    assert "Fake" in tested, protocol


# --- Sizes and names --------------------------------------------------------


def test_no_module_is_longer_than_can_be_read_at_once():
    paths = (*sources(*PACKAGES), ROOT / "manage.py")

    long = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}

    assert {name: lines for name, lines in long.items() if lines > MODULE_LINES} == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from `def` to the end, the docstring left out."""
    count = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        count -= (text.end_lineno or 0) - text.lineno + 1
    return count


def test_no_function_is_longer_than_a_screen():
    functions = nodes(ast.FunctionDef | ast.AsyncFunctionDef, *PACKAGES)

    long = {f"{name}:{node.name}": lines_of(node) for name, node in functions}

    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES} == {}


def test_no_module_has_a_name_that_says_nothing():
    named = [
        name_of(path)
        for path in sources(*PACKAGES, "tests")
        if NO_NAMES & set(re.split(r"[_/.]", name_of(path)))
    ]

    assert named == []


def test_every_test_file_is_one_that_pytest_collects():
    tests = sources("tests")

    holders = {name_of(path) for path in tests if defines_tests(tree_of(path))}

    assert {name for name in holders if not Path(name).name.startswith("test_")} == set()


def defines_tests(tree: ast.Module) -> bool:
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(function.name.startswith("test_") for function in functions)
