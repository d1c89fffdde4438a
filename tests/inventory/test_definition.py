"""An inventory is read as Ansible reads it, or every problem is named with its line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import BadFile, WrongInput
from lab.files.workplace import SHIPPED
from lab.inventory.definition import read_inventory
from tests.support import KINDS, Case, by_name, cases

STARTER = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", cases("definition"), ids=by_name)
def test_every_problem_is_named_with_its_line(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(case.raw["inventory"], encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_inventory(path, KINDS)
    assert [f"{it.line}: {it.what}" for it in caught.value.problems] == case.raw["problems"]


def test_the_starter_lab_is_as_printed() -> None:
    lab = read_inventory(SHIPPED.find("inventories", "starter"), KINDS)
    assert {node.name: (node.kind.name, node.attach or node.watch) for node in lab.nodes} == {
        "attacker": ("kali", ("outside",)),
        "bastion": ("sshd", ("outside", "inside")),
        "shop": ("webshop", ("outside", "inside")),
        "desk": ("workstation", ("inside",)),
        "sensor": ("suricata", ("outside", "inside")),
    }


ODD: Final = {case.name: case.raw["files"] for case in cases("inventory")}
LABS: Final = {path.stem: {"lab.yml": path.read_text(encoding="utf-8")} for path in SHIPPED.inventories()}


@pytest.mark.parametrize("name", [*ODD, *LABS])
def test_hosts_and_variables_agree_with_ansible(name: str, tmp_path: Path) -> None:
    for file, text in {**ODD, **LABS}[name].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    path = tmp_path / "lab.yml"
    program = Path(sys.executable).with_name("ansible-inventory")
    argv = [str(program), "--list", "-i", str(path)]
    told: dict[str, Any] = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    hostvars = told["_meta"]["hostvars"]
    lab = read_inventory(path, KINDS)
    assert {node.name for node in lab.nodes} == hostvars.keys()
    for node in lab.nodes:
        assert node.name in members(told, node.kind.name)
        theirs = hostvars[node.name]
        assert list(node.attach) == theirs.get("lab_attach", [])
        assert dict(node.variables) == {k: v for k, v in theirs.items() if k in node.kind.arguments}
        assert {network.name for network in lab.networks} == theirs["lab_networks"].keys()


def members(told: dict[str, Any], group: str) -> set[str]:
    """List the hosts of a group and of all groups below it."""
    below = told.get(group, {})
    inner = (members(told, child) for child in below.get("children", []))
    return {*below.get("hosts", []), *(host for hosts in inner for host in hosts)}


def test_problems_of_the_files_beside_it_are_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(STARTER, encoding="utf-8")
    for file, text in {
        "group_vars/sshd.yml": "sshd_port: 2222\nnonsense: 1\n",
        "group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "host_vars/bastion.yml": "sshd_port: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
        "host_vars/desk.yml": "- a list\n",
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_inventory(path, KINDS)
    found = {f"{Path(it.path).relative_to(tmp_path)}:{it.line}: {it.what}" for it in caught.value.problems}
    assert found == {
        "group_vars/sshd.yml:2: unknown variable 'nonsense' for sshd bastion",
        "group_vars/all.yml:1: is encrypted with Ansible Vault",
        "host_vars/bastion.yml:1: is encrypted with Ansible Vault",
        "host_vars/desk.yml:1: desk.yml must be a mapping, not a list",
    }


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300))
def test_no_bytes_bring_it_down(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yml"
    path.write_bytes(raw)
    with pytest.raises(WrongInput):
        read_inventory(path, KINDS)


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
        read_inventory(path, KINDS)
    except BadFile as error:
        return {problem.path for problem in error.problems}
    return set()
