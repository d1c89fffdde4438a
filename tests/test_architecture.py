"""The one-importer table, and that the package's own contracts are complete."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

import lab

ROOT: Final = Path(lab.__file__).parent

ONLY_IMPORTERS: Final = {
    "ansible_runner": {"provision"},
    "docker": {"engine.docker"},
    "duckdb": {"telemetry.store"},
    "jinja2": {"report.page", "template"},
    "msgspec": {"records"},
    "networkx": {"score"},
    "nmap": {"steps.nmap"},
    "plotly": {"report.timeline"},
    "pyarrow": {"telemetry.store"},
    "rich": {"console"},
    "sigma": {"detect.sigma"},
    "typer": {"cli"},
    "yaml": {"loader"},
}


def _importers() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.name.partition(".")[0]].add(module)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found[node.module.partition(".")[0]].add(module)
    return found


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_a_library_has_one_importer(library: str) -> None:
    assert _importers()[library] == ONLY_IMPORTERS[library]


def test_every_module_is_short_enough_to_read() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > 600} == {}
