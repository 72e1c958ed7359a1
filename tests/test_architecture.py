"""The layout's promises: which way imports point, and what a fresh interpreter pays."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cachewarm_pipeline"
LAYERS = [
    "days",
    "number_format",
    "errors",
    "exclusion_reasons",
    "numerics",
    "settings",
    "storage",
    "plots",
    "ports",
    "models",
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
    "partitions",
    "lineage",
    "assets",
    "checks",
    "automation",
    "definitions",
    "cli",
]
"""Each may import itself and what stands before it; `core`, `resources` and `serving` are being moved there."""
IMPURE = {
    "dagster",
    "redis",
    "redisvl",
    "openai",
    "ibis",
    "duckdb",
    "socket",
    "urllib",
    "httpx",
    "requests",
    "time",
    "os",
}


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own_layers(file: Path) -> set[str]:
    prefix = "cachewarm_pipeline."
    return {name.removeprefix(prefix).split(".")[0] for name in imports(file) if name.startswith(prefix)}


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py" or p.parent != PACKAGE)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_never_point_upward(file: Path) -> None:
    layer = layer_of(file)
    moving = {"core", "resources", "serving", "serving_metrics"}
    if layer in moving:
        return
    used = own_layers(file) - moving
    assert used <= {*LAYERS[: LAYERS.index(layer) + 1]}, f"{file.name} in {layer} imports {used}"


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda f: f.name)
def test_core_touches_no_dagster_redis_network_or_clock(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & IMPURE
    text = file.read_text(encoding="utf-8")
    assert not [call for call in ("datetime.now", "date.today", "utcnow", "random.random(", "open(") if call in text]


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_definitions_load_in_a_fresh_interpreter_without_models_or_engines() -> None:
    loaded = loaded_after("import cachewarm_pipeline.definitions")
    assert "dagster" in loaded
    assert not loaded & {"onnxruntime", "openai", "ibis", "duckdb", "tokenizers"}


def test_serving_does_not_pull_in_the_pipeline() -> None:
    loaded = loaded_after("import cachewarm_client.cache")
    assert not loaded & {"dagster", "pandas", "pyarrow", "ibis", "duckdb", "onnxruntime", "openai"}


def test_the_command_line_answers_help_without_dagster() -> None:
    loaded = loaded_after("import cachewarm_pipeline.cli")
    assert not loaded & {"dagster", "pandas", "pyarrow", "redisvl", "onnxruntime", "openai", "ibis"}


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    too_long = {
        str(f.relative_to(PACKAGE)): n for f in FILES if (n := len(f.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not too_long
