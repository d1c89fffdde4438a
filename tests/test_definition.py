"""An inventory is read as Ansible reads it, or every problem is named with its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import content
from lab.definition import read_inventory
from lab.errors import BadFile, WrongInput
from tests.support import Case, by_name, cases

STARTER = content.find("inventories", "starter").read_text(encoding="utf-8")

NESTED = """
all:
  vars:
    lab_networks: {outside: {}, inside: {}}
  children:
    servers:
      vars: {lab_attach: [outside]}
      children:
        sshd:
          hosts: {"gate[01:03]": {}, "door[a:c:2]": {lab_attach: [inside]}}
          vars: {sshd_port: 2222}
        webshop:
          hosts: {shop: {}}
    kali: {hosts: {attacker: {lab_attach: [outside, inside]}}}
"""


@pytest.mark.parametrize("case", cases("definition"), ids=by_name)
def test_every_problem_is_named_with_its_line(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(case.raw["inventory"], encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_inventory(path)
    assert [f"{it.line}: {it.what}" for it in caught.value.problems] == case.raw["problems"]


def test_the_starter_lab_is_as_printed() -> None:
    lab = read_inventory(content.find("inventories", "starter"))
    assert {node.name: (node.kind.name, node.attach or node.watch) for node in lab.nodes} == {
        "attacker": ("kali", ("outside",)),
        "bastion": ("sshd", ("outside", "inside")),
        "shop": ("webshop", ("outside", "inside")),
        "desk": ("workstation", ("inside",)),
        "sensor": ("suricata", ("outside", "inside")),
    }


@pytest.mark.parametrize("text", [STARTER, NESTED], ids=["starter", "nested"])
def test_hosts_and_variables_agree_with_ansible(text: str, tmp_path: Path) -> None:
    path = tmp_path / "same.yml"
    path.write_text(text, encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-inventory")
    argv = [str(program), "--list", "-i", str(path)]
    told: dict[str, Any] = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    hostvars = told["_meta"]["hostvars"]
    lab = read_inventory(path)
    assert {node.name for node in lab.nodes} == hostvars.keys()
    for node in lab.nodes:
        assert node.name in told[node.kind.name]["hosts"]
        theirs = hostvars[node.name]
        assert list(node.attach) == theirs.get("lab_attach", [])
        assert dict(node.variables) == {k: v for k, v in theirs.items() if k in node.kind.arguments}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300))
def test_no_bytes_bring_it_down(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yml"
    path.write_bytes(raw)
    with pytest.raises(WrongInput):
        read_inventory(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, len(STARTER)),
    cut=st.integers(0, 40),
    put=st.sampled_from(
        ["", "{", "}", "[", ":", "\n", "  ", "&a ", "*a", "- ", "null", "1e999", "'", "\t", "? ", "!x "]
    ),
)
def test_no_mutation_of_a_real_one_brings_it_down(where: int, cut: int, put: str, tmp_path: Path) -> None:
    path = tmp_path / "mutated.yml"
    path.write_text(STARTER[:where] + put + STARTER[where + cut :], encoding="utf-8")
    assert _complained_of(path) <= {str(path)}


def _complained_of(path: Path) -> set[str]:
    """Return the files that problems were found in."""
    try:
        read_inventory(path)
    except BadFile as error:
        return {problem.path for problem in error.problems}
    return set()
