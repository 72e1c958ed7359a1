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

IO_PACKAGES = {
    "duckdb",
    "fcntl",
    "fsspec",
    "httpx",
    "httpx2",
    "ibis",
    "importlib",
    "openai",
    "os",
    "random",
    "redis",
    "redisvl",
    "requests",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "time",
    "urllib",
}
IO_MODULES = {f"cachewarm_pipeline.storage.{name}" for name in ("datasets", "files", "vectors", "parquet_segments")}
"""A pure module may get one of their objects as an argument, and import its type; it opens none itself."""

IO_CALLS = {
    "glob",
    "mkdir",
    "now",
    "open",
    "read_bytes",
    "read_table",
    "read_text",
    "rglob",
    "today",
    "unlink",
    "utcnow",
    "write_bytes",
    "write_table",
    "write_text",
}
CLOCKS = {"ports", "self", "workspace"}
"""Whose ``now()`` is a clock that was passed in."""

IO_ROOMS = {"settings", "storage", "models", "embedded", "workspace", "lineage", "automation", "cli", "definitions"}
IO_WORDS = {"redis", "openai", "ibis", "sources", "formats", "service", "store", "stored", "server", "batches"}
"""A module that talks to Redis, a paid server, an engine or the disk has one of these words in its path."""

PACKAGE_DATA = {
    "cachewarm_pipeline.answers.judges.local_model",
    "cachewarm_pipeline.candidates.variant_writers.recorded_writer",
}
"""Modules that read a file of the package itself."""

CLIENT_IO = {
    "app_entries",
    "cache",
    "cold_cache_shadow",
    "holdout",
    "nearest_entries",
    "prometheus_metrics",
    "reader",
    "vectorizer",
}
"""Modules of the client that use RedisVL, Redis or a clock, beside those with one of IO_WORDS and ``embedders``."""


def imports(file: Path) -> set[str]:
    """All modules and names that a file imports, also for its types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import: write the whole path"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_at_run_time(file: Path) -> set[str]:
    """As ``imports``, without those under TYPE_CHECKING."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return plain | {f"{node.module}.{alias.name}" for node in named for alias in node.names}


def io_calls(file: Path) -> set[str]:
    """Calls that read a file, the clock or chance."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        owner = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
        if (name in IO_CALLS and owner not in CLOCKS) or (name == "default_rng" and not node.args):
            found.add(name)
    return found


def io_of(file: Path) -> set[str]:
    """What a module does beside computing: packages, storage modules and calls."""
    used = imports_at_run_time(file)
    packages = {name.split(".")[0] for name in used} & IO_PACKAGES
    stores = {name for name in used if any(f"{name}.".startswith(f"{module}.") for module in IO_MODULES)}
    return packages | stores | io_calls(file)


def words_of(module: str) -> set[str]:
    return {word for part in module.split(".") for word in part.split("_")}


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
    assert room_of(module) in ROOMS, f"{module} stands in no known folder: add it to ROOMS at its place"
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
    inside = module.removeprefix("cachewarm_pipeline.")
    exempt = inside.split(".")[0] in IO_ROOMS or words_of(inside) & IO_WORDS or module in PACKAGE_DATA
    if not exempt and MODULES[module].name not in DAGSTER_SIDE:
        assert io_of(MODULES[module]) == set()


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("cachewarm_client.")])
def test_a_module_of_the_client_that_does_io_is_known(module: str) -> None:
    inside = module.removeprefix("cachewarm_client.")
    if not (words_of(inside) & (IO_WORDS | {"embedders"}) or inside in CLIENT_IO):
        assert io_of(MODULES[module]) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import redis",
        "from urllib import request",
        "from pathlib import Path\nPath('x').read_text()",
        "(open('x'))",
        "from datetime import datetime as dt\ndt.now()",
        "import random",
        "import numpy as np\nnp.random.default_rng()",
        "from cachewarm_pipeline.storage.datasets import DatasetStore",
    ],
)
def test_io_in_a_pure_module_would_be_found(tmp_path: Path, code: str) -> None:
    file = tmp_path / "pure.py"
    file.write_text(code)
    assert io_of(file)


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
