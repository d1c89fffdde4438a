"""`up` changes what the plan names and nothing else, and puts right what somebody did by hand."""

from __future__ import annotations

import json
from collections.abc import Callable

import docker
import pytest

from tests.e2e.conftest import INVENTORY, Place

pytestmark = pytest.mark.docker


def planned(place: Place) -> list[tuple[str, str, str]]:
    changes = json.loads(place.lab("plan", place.name, "--format", "json").stdout)["changes"]
    return [(it["action"], it["subject"], it["reason"]) for it in changes]


def ids(place: Place) -> dict[str, str]:
    return {node.name: node.id for node in place.observe().nodes}


def test_a_first_plan_makes_everything_and_a_dry_run_changes_nothing(place: Place) -> None:
    shown = place.lab("up", place.name, "--dry-run").stdout
    assert shown == place.lab("plan", place.name).stdout
    assert [line.split("\t")[0] for line in shown.splitlines()] == ["create"] * 5
    assert place.observe().empty


def test_a_second_up_has_nothing_to_do(standing: Place) -> None:
    before = ids(standing)
    assert planned(standing) == []
    standing.lab("up", standing.name)
    assert ids(standing) == before


def test_a_node_that_is_added_or_taken_out_touches_no_other(standing: Place) -> None:
    before = ids(standing)
    standing.write(
        INVENTORY.replace("        one: {lab_attach: [left]}\n", "        four: {lab_attach: [left]}\n")
    )
    assert planned(standing) == [
        ("remove", "one", "not in the inventory"),
        ("create", "four", "in the inventory"),
    ]
    standing.lab("up", standing.name)
    after = ids(standing)
    assert after.keys() == {"two", "three", "four"}
    assert {name: after[name] for name in ("two", "three")} == {
        name: before[name] for name in ("two", "three")
    }


def test_a_network_that_is_taken_out_goes(standing: Place) -> None:
    standing.write(
        """\
all:
  vars: {lab_networks: {left: {}}}
  children:
    plain: {hosts: {one: {lab_attach: [left]}, two: {lab_attach: [left]}}}
"""
    )
    before = ids(standing)
    assert ("remove", "right", "not in the inventory") in planned(standing)
    assert ("recreate", "two", "its networks changed") in planned(standing)
    standing.lab("up", standing.name)
    assert [network.name for network in standing.observe().networks] == ["left"]
    assert ids(standing)["one"] == before["one"]


def _stop(client: docker.APIClient, place: Place) -> None:
    client.kill(place.node("two").id)


def _pause(client: docker.APIClient, place: Place) -> None:
    client.pause(place.node("two").id)


def _remove(client: docker.APIClient, place: Place) -> None:
    client.remove_container(place.node("two").id, force=True)


def _attach(client: docker.APIClient, place: Place) -> None:
    client.connect_container_to_network(place.node("two").id, "bridge")


def _detach(client: docker.APIClient, place: Place) -> None:
    client.disconnect_container_from_network(place.node("two").id, f"lab-{place.name}-right")


@pytest.mark.parametrize(
    ("drift", "action", "reason"),
    [
        (_stop, "start", "it stopped"),
        (_pause, "start", "it was paused"),
        (_remove, "create", "in the inventory"),
        (_attach, "recreate", "it was attached to bridge by hand"),
        (_detach, "recreate", "it was detached from right by hand"),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_what_somebody_did_by_hand_is_found_and_put_right(
    standing: Place, drift: Callable[[docker.APIClient, Place], None], action: str, reason: str
) -> None:
    before = ids(standing)
    client = docker.APIClient()
    drift(client, standing)
    client.close()
    assert planned(standing) == [(action, "two", reason)]
    standing.lab("up", standing.name)
    assert planned(standing) == []
    after = ids(standing)
    assert {name: after[name] for name in ("one", "three")} == {
        name: before[name] for name in ("one", "three")
    }
    assert (after["two"] == before["two"]) == (action == "start")


def test_reset_brings_one_node_back_and_leaves_the_rest(standing: Place) -> None:
    before = ids(standing)
    for name in ("one", "two"):
        standing.lab("exec", name, "--lab", standing.name, "--", "touch", "/tmp/mine")
    standing.lab("reset", "one", "--lab", standing.name)
    after = ids(standing)
    assert after["one"] != before["one"]
    assert after["two"] == before["two"]
    standing.lab("exec", "one", "--lab", standing.name, "--", "test", "-e", "/tmp/mine", code=1)
    standing.lab("exec", "two", "--lab", standing.name, "--", "test", "-e", "/tmp/mine")
    standing.lab("reset", "--lab", standing.name)
    standing.lab("exec", "two", "--lab", standing.name, "--", "test", "-e", "/tmp/mine", code=1)


def test_a_reset_of_what_is_not_there_is_refused(standing: Place) -> None:
    before = ids(standing)
    assert "no node 'nobody'" in standing.lab("reset", "nobody", "--lab", standing.name, code=2).stderr
    assert ids(standing) == before


def test_what_there_is_is_shown_as_data(standing: Place) -> None:
    [lab] = [
        it for it in json.loads(standing.lab("ls", "--format", "json").stdout) if it["name"] == standing.name
    ]
    assert (lab["nodes"], lab["running"], lab["networks"]) == (3, 3, 2)
    assert lab["inventory"].endswith(f"{standing.name}.yml")
    for command in ("status", "top"):
        found = json.loads(standing.lab(command, standing.name, "--format", "json").stdout)
        assert {it["name"]: it["health"] for it in found} == dict.fromkeys(("one", "two", "three"), "ready")
        assert all(it["memory"] > 0 and it["started"] and it["image"] and it["base"] for it in found)
    standing.lab("exec", "one", "--lab", standing.name, "--", "sh", "-c", "/bin/true a-mark; :")
    [_, log] = json.loads(standing.lab("logs", "one", "--lab", standing.name, "--format", "json").stdout)
    assert log["source"] == "snoopy"
    assert any("a-mark" in line for line in log["lines"])


def test_prune_removes_what_nothing_needs(standing: Place, plain_image: str) -> None:
    standing.engine.commit(standing.node("one"), "homerange/plain:000000000000", {"homerange.baked": "0"})
    listed = standing.lab("prune", "--dry-run").stdout
    assert "homerange/plain:000000000000" in listed
    assert plain_image not in listed
    standing.engine.remove_image("homerange/plain:000000000000")
