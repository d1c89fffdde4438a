"""Packets of others are read by the sensor that labs have, in a node without a network, removed at once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from lab.engine.nodes import SeenNode
from lab.errors import BadFile, EngineUnreachable, NoRights, NotFound, Problem
from lab.flow.context import Context
from lab.flow.labs import bake_images, plan_lab, with_sensor_rules
from lab.flow.rules import sensor_additions
from lab.inventory.definition import Lab, Node
from lab.inventory.kind import Kind
from lab.provision import apply
from lab.provision.blueprint import PRIVATE
from lab.provision.lock import locked
from lab.telemetry.inputs import CHUNK, whole_lines
from lab.watch.packets import AS_FILE, UNREADABLE, read_with_suricata, unreadable

LAB: Final = "packets"
"""What the lab of the one node is called."""

_KIND: Final = "suricata"

_READ: Final = f"""
set -eu
cd "$(mktemp -d)"
cat >packets
suricata -c /etc/suricata/homerange.yaml --set "vars.address-groups.HOME_NET=[{PRIVATE}]" \\
    -r packets {" ".join(AS_FILE)} -l . >said 2>&1 &
while kill -0 $! 2>/dev/null; do
    if grep -P -m 1 '^{UNREADABLE}' said >&2; then kill -9 $!; exit 1; fi
    sleep 0.1
done
wait $! || {{ tail -n 1 said >&2; exit 1; }}
cat eve.json
"""
"""Reads packets from standard input, and writes the lines of EVE to standard output."""

_ROOM: Final = 256 * 2**20
"""Bytes that a file may have on the node beside the packets themselves."""


_CHECK: Final = f"""
set -eu
cat >/tmp/user.rules
suricata -T -c /etc/suricata/homerange.yaml --set "vars.address-groups.HOME_NET=[{PRIVATE}]" \\
    --init-errors-fatal -s /tmp/user.rules -l /tmp 2>&1
"""
"""Has Suricata read rules from standard input, beside ours."""

_AT_LINE: Final = re.compile(r"from file /tmp/user\.rules at line (\d+)")

_TEMPLATE: Final = re.compile(r"\{\{|\{%|\{#")
"""What Ansible, which brings rules to the sensor, would take for its own."""


def check_suricata(path: Path, context: Context) -> Path:
    """Rules for Suricata -> the same, once a sensor has read them beside ours.

    Raises:
        BadFile: it could not read one; every problem is named.
        NotReady: no engine answers.
    """
    place = context.path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(Problem(path=str(path), line=0, what=f"cannot be read: {error}")) from error
    lines = text.splitlines()
    braces = [number for number, it in enumerate(lines, 1) if _TEMPLATE.search(it)]
    if braces:
        what, remedy = "has two braces beside each other", 'write them as content:"|7b 7b|"'
        raise BadFile(*(Problem(path=str(path), line=it, what=what, remedy=remedy) for it in braces))
    with _sensor(context, 0, "") as node:
        said = context.engine.execute(node, ("sh", "-c", _CHECK), user="root", stdin=text.encode())
    if said.code:
        raise BadFile(*_faults(str(path), said.stdout.decode("utf-8", "replace")))
    return path


def _faults(path: str, said: str) -> list[Problem]:
    """Place what Suricata says of rules."""
    found: list[Problem] = []
    reason = ""
    for line in said.splitlines():
        if place := _AT_LINE.search(line):
            found.append(Problem(path=path, line=int(place[1]), what=reason or "is no rule of Suricata"))
            reason = ""
        elif " E: " in line or line.startswith("E: "):
            reason = line.partition("E: ")[2].strip()
    return found or [Problem(path=path, line=0, what=f"Suricata refuses it: {said.strip()[-300:]}")]


def packet_lines(context: Context, path: Path, name: str) -> Iterator[bytes]:
    """Have a sensor read packets, and give the lines of EVE that it writes; times are the packets' own.

    Where no engine answers, a Suricata of this machine does it.

    Args:
        context: What a command works with.
        path: The packets.
        name: What the user calls them.

    Raises:
        NotReady: there is neither.
        BadFile: it could not read them.
    """
    try:
        _ = context.engine
    except (EngineUnreachable, NoRights):
        yield from read_with_suricata(path, name, context.stop)
        return
    with tempfile.TemporaryFile(dir=path.parent) as eve:
        with _sensor(context, path.stat().st_size, sensor_additions(context)) as node:
            _read(context, node, path, name, eve.write)
        if not context.stop.is_set():  # else it has not read all of them
            eve.seek(0)
            yield from whole_lines(iter(partial(eve.read, CHUNK), b""))


@contextmanager
def _sensor(context: Context, size: int, rules: str) -> Iterator[SeenNode]:
    """Have a sensor without a network while the body runs; what an earlier one left is removed first."""
    with locked(LAB, doing=context.command):
        apply.remove(LAB, context.engine)
        node = with_sensor_rules(Node(name="sensor", kind=_kind(context)), rules)
        lab = Lab(name=LAB, path=context.workplace.folder, networks=(), nodes=(node,))
        planned = plan_lab(lab, context)
        unsaid = replace(planned, plan=replace(planned.plan, changes=()))
        (spec,) = bake_images(unsaid, context).blueprint.nodes
        alone = replace(
            spec,
            command=("sleep", "infinity"),
            capabilities=(),
            host_network=False,
            read_only=False,
            tmpfs=(),
            disk=max(spec.disk, size + _ROOM),
        )
        try:
            context.engine.create_node(alone)
            (seen,) = context.engine.observe(LAB).nodes
            yield seen
        finally:
            apply.remove(LAB, context.engine)


def _kind(context: Context) -> Kind:
    found = context.kinds.find(_KIND)
    if found is None:
        raise NotFound("kind of node", name=_KIND)
    return found


def _read(context: Context, node: SeenNode, path: Path, name: str, write: Callable[[bytes], object]) -> None:
    errors = bytearray()

    def sent() -> Iterator[bytes]:
        """Give the packets, until the user wants no more."""
        with path.open("rb") as file:
            while (chunk := file.read(CHUNK)) and not context.stop.is_set():
                yield chunk

    def hear(stream: int, said: bytes) -> None:
        """Keep the lines of EVE apart from what went wrong."""
        (write if stream == 1 else errors.extend)(said)

    code = context.engine.relay(node, ("sh", "-c", _READ), stdin=sent(), hear=hear)
    if code and not context.stop.is_set():
        raise unreadable(name, bytes(errors), code)
