"""The layout's promises: which way imports point, which modules are pure, and what a fresh interpreter pays."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, CLIENT = ROOT / "cachewarm_pipeline", ROOT / "client" / "cachewarm_client"

ROOMS = [
    "errors",
    "days",
    "number_format",
    "exclusion_reasons",
    "numerics",
    "settings",
    "storage",
    "plots",
    "models",
    "ports",
    "query_log",
    "answers",
    "candidates",
    "freshness",
    "match_rules",
    "planning",
    "proof",
    "publishing",
    "measurement",
    "reporting",
    "embedded",
    "workspace",
    "lineage",
    "dagster side of the stages",
    "automation",
    "definitions",
    "cli",
]
"""Each may import what stands before it, and itself. The client stands before all of them; ``serving`` and
``serving_metrics`` hand its names on."""

STAGES = ROOMS[ROOMS.index("query_log") : ROOMS.index("reporting") + 1]
DAGSTER_SIDE = ("assets.py", "checks.py")
"""Files of a stage that import Dagster. With ``*_page.py``, what an asset's page shows, they stand over the
workspace."""

IO = {
    "redis",
    "redisvl",
    "openai",
    "ibis",
    "duckdb",
    "socket",
    "httpx",
    "requests",
    "time",
    "os",
    "fsspec",
    "subprocess",
}
IO_ROOMS = {"settings", "storage", "models", "embedded", "workspace", "lineage", "automation", "cli", "definitions"}
IO_NAMES = (
    "redis",
    "openai",
    "ibis",
    "sources",
    "log_formats",
    "service",
    "store",
    "server",
    "batches",
    "chat_model",
)
"""A module that talks to Redis, a paid server, an engine or the disk says so in its path."""


def imports(file: Path) -> set[str]:
    """All modules and names that a file imports, also for its types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(file: Path) -> set[str]:
    """Packages that a file imports from."""
    return {name.split(".")[0] for name in imports(file)}


def module_of(file: Path) -> str:
    base = ROOT / "client" if file.is_relative_to(CLIENT) else ROOT
    return ".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__")


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_of(file): file for file in [*FILES, *sorted(CLIENT.rglob("*.py"))]}


def own_imports(file: Path) -> set[str]:
    """Modules of the project that a file imports."""
    found = set()
    for name in imports(file):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {"", "cachewarm_pipeline", "cachewarm_client", module_of(file)}


def room_of(module: str) -> str:
    room, *rest = module.removeprefix("cachewarm_pipeline.").split(".")
    file = MODULES[module].name
    if rest and room in STAGES and (file in DAGSTER_SIDE or file.endswith(("_page.py", "_chart.py"))):
        return "reporting" if room == "reporting" else "dagster side of the stages"
    return room


def of_pipeline() -> Iterator[str]:
    """Modules that stand in a room."""
    others = {"cachewarm_pipeline.serving", "cachewarm_pipeline.serving_metrics"}
    return (module for module in MODULES if module.startswith("cachewarm_pipeline.") and module not in others)


@pytest.mark.parametrize("module", list(of_pipeline()))
def test_imports_never_point_upward(module: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room_of(module)) + 1])
    used = {name for name in own_imports(MODULES[module]) if name.startswith("cachewarm_pipeline.")}
    assert {f"{name} ({room_of(name)})" for name in used if room_of(name) not in allowed} == set()


@pytest.mark.parametrize("module", [m for m in of_pipeline() if room_of(m) == "dagster side of the stages"])
def test_the_dagster_side_of_a_stage_uses_no_later_stage(module: str) -> None:
    stage = module.split(".")[1]
    later = STAGES[STAGES.index(stage) + 1 :]
    assert {name for name in own_imports(MODULES[module]) if name.split(".")[1] in later} == set()


def test_no_circle_of_imports_exists() -> None:
    graph = {module: own_imports(file) for module, file in MODULES.items()}
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for name in sorted(graph[module]):
                visit(name)
            path.pop()
            done.add(module)

    for module in graph:
        visit(module)


def test_the_client_imports_nothing_of_the_pipeline() -> None:
    of_client = {module: file for module, file in MODULES.items() if module.startswith("cachewarm_client")}
    assert {
        m for m, file in of_client.items() if any(n.startswith("cachewarm_pipeline") for n in imports(file))
    } == set()


def test_only_the_dagster_side_imports_dagster() -> None:
    over = {"lineage", "automation", "definitions", "cli"}
    users = {module for module in of_pipeline() if "dagster" in roots(MODULES[module])}
    assert {m for m in users if room_of(m) not in over and MODULES[m].name not in DAGSTER_SIDE} == set()


@pytest.mark.parametrize("module", list(of_pipeline()))
def test_a_module_that_does_io_says_so_in_its_path(module: str) -> None:
    if module.split(".")[1] in IO_ROOMS or any(word in module for word in IO_NAMES):
        return
    file = MODULES[module]
    if file.name in DAGSTER_SIDE:
        return
    assert not roots(file) & IO
    text = file.read_text(encoding="utf-8")
    assert not [call for call in ("datetime.now", "date.today", "utcnow", "random.random(", " open(") if call in text]


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_definitions_load_in_a_fresh_interpreter_without_models_or_engines() -> None:
    loaded = loaded_after("import cachewarm_pipeline.definitions")
    assert "dagster" in loaded
    assert not loaded & {"onnxruntime", "openai", "ibis", "duckdb", "tokenizers"}


@pytest.mark.parametrize(
    "statement", ["from cachewarm_client import WarmedSemanticCache", "import cachewarm_pipeline.serving"]
)
def test_an_application_loads_nothing_of_the_pipeline(statement: str) -> None:
    loaded = loaded_after(statement)
    assert "redisvl" in loaded
    assert not loaded & {"dagster", "pandas", "pyarrow", "ibis", "duckdb", "onnxruntime", "openai"}


def test_the_command_line_answers_help_without_dagster() -> None:
    loaded = loaded_after("import cachewarm_pipeline.cli")
    assert not loaded & {"dagster", "pandas", "pyarrow", "redisvl", "onnxruntime", "openai", "ibis"}


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    lines = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > 400} == {}
