"""Evidence of a real node: taken without a line in its logs, and read by the tools that others use."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from lab.files.workplace import Workplace
from lab.flow.context import Context
from lab.flow.evidence import _TOOLS, _baked
from lab.forensics import manifest
from lab.forensics.manifest import Manifest
from tests.e2e.conftest import Place
from tests.support import until

pytestmark = pytest.mark.docker

PLANTED = """set -e
mkdir -p /root/.ssh /etc/cron.d
echo 'ssh-ed25519 AAAA intruder' >/root/.ssh/authorized_keys
echo '* * * * * root /bin/x' >/etc/cron.d/odd
cp /usr/bin/id /tmp/.id && chmod 4755 /tmp/.id
echo 'secret words' >/tmp/gone
"""

HOLDS = "import time; held = open('/tmp/gone'); import os; os.unlink('/tmp/gone'); time.sleep(600)"

RULES = """
rule planted { strings: $it = "AAAA intruder" condition: $it }
rule in_memory { strings: $it = "import time; held = open" condition: $it }
"""


@pytest.fixture
def evidence(standing: Place) -> tuple[Place, Path, Manifest]:
    """Take evidence of a node with something to find, in a run of what is done by hand."""
    node = standing.node("one")
    assert standing.engine.execute(node, ("sh", "-c", PLANTED)).code == 0
    holding = standing.engine.stream(node, ("python3", "-c", HOLDS))
    gone = ("test", "!", "-e", "/tmp/gone")
    until(lambda: standing.engine.execute(node, gone).code == 0)
    standing.lab("watch", "--lab", standing.name, "--for", "1")
    (standing.folder / "rules.yar").write_text(RULES, encoding="utf-8")
    log = ("cat", "/var/log/exec.log")  # the first program of a quiet command is not in it
    before = standing.engine.execute(node, log).stdout
    lab = ("--lab", standing.name)
    told = standing.lab("evidence", "one", *lab, "--e01", "--yara", "rules.yar", timeout=600).stdout
    after = standing.engine.execute(node, log).stdout
    holding.close()
    assert list(holding) == []
    assert after == before, "collecting wrote into the node's own log"
    folder = Path(told.splitlines()[0])
    return standing, folder, manifest.read(folder)


def test_evidence_is_whole_and_found_by_those_who_look(evidence: tuple[Place, Path, Manifest]) -> None:
    place, folder, found = evidence
    assert list(manifest.faults(folder, found)) == []
    assert [it.path for it in found.items] == [
        "bodyfile.txt", "disk.E01", "disk.raw", "triage.tar", "yara.txt",
    ]  # fmt: skip
    assert found.reconstructed
    assert any("deleted files" in it for it in found.cannot)
    _triage(folder)
    _yara(folder)
    _disk(place, folder)
    lines = [json.loads(it) for it in next(folder.parents[1].glob("response.jsonl")).read_text().splitlines()]
    assert [(it["action"], it["state"]) for it in lines] == [("evidence", "begun"), ("evidence", "done")]
    assert lines[1]["digest"] == found.digest


def _triage(folder: Path) -> None:
    with tarfile.open(folder / "triage.tar") as tar:
        held = {it.name: tar.extractfile(it).read() for it in tar if it.isfile()}  # type: ignore[union-attr]
    assert b"python3 -c import time; held" in held["live_response/process/ps.txt"]
    assert b"/tmp/gone (deleted)" in held["live_response/process/deleted_open_files.txt"]
    assert b"secret words\n" in [text for name, text in held.items() if "/recovered/fd_" in name]
    assert b"/tmp/.id" in held["system/suid.txt"]
    assert b"intruder" in held["[root]/root/.ssh/authorized_keys"]
    assert b"/bin/x" in held["[root]/etc/cron.d/odd"]
    assert held["live_response/network/ip_addr.txt"].count(b"inet ") >= 2
    assert b"/etc/passwd|" in held["bodyfile/bodyfile.txt"]
    assert (folder / "bodyfile.txt").read_bytes() == held["bodyfile/bodyfile.txt"]


def _yara(folder: Path) -> None:
    text = (folder / "yara.txt").read_text(encoding="utf-8")
    assert "file: planted ./root/.ssh/authorized_keys" in text
    assert any(it.startswith("memory of ") and "in_memory" in it for it in text.splitlines())


def _disk(place: Place, folder: Path) -> None:
    """Let The Sleuth Kit and libewf read what we made."""
    with Context(
        workplace=Workplace(place.folder), connect=lambda: place.engine, lab_name=place.name
    ) as context:
        image = _baked(_TOOLS, context)
        context.__dict__.pop("engine", None)  # the place's own: it is closed by whoever opened it
    with place.engine.workbench(image, place.name) as bench:
        for name in ("disk.raw", "disk.E01", "bodyfile.txt"):
            with (folder / name).open("rb") as file:
                put = ("sh", "-c", f"cat >/w/{name}")
                place.engine.relay(
                    bench, put, stdin=iter(lambda: file.read(1 << 20), b""), hear=lambda *_: None
                )
        asked = {
            "raw": "fls -r -p /w/disk.raw | grep -c .",
            # Debian's Sleuth Kit 4.12 crashes when it closes such an image, having read all of it.
            "e01": "stdbuf -oL fls -r -p -i ewf /w/disk.E01 2>/dev/null | grep -c .",
            "same": "ewfexport -q -u -f raw -t /w/b /w/disk.E01 >/w/o; cmp /w/b.raw /w/disk.raw && echo same",
            "cat": "ifind -n /root/.ssh/authorized_keys /w/disk.raw | xargs icat /w/disk.raw",
            "whole": "ewfverify -q /w/disk.E01 | grep -c SUCCESS",
            "check": "e2fsck -fn /w/disk.raw >/dev/null; echo $?",
            "mactime": "mactime -b /w/bodyfile.txt -d 2>/dev/null | grep -c /root/.ssh/authorized_keys",
        }
        told = {
            name: place.engine.execute(bench, ("sh", "-c", line)).stdout.decode().strip()
            for name, line in asked.items()
        }
    assert int(told["raw"]) > 1000
    assert told["raw"] == told["e01"]
    assert told["cat"] == "ssh-ed25519 AAAA intruder"
    assert (told["whole"], told["check"], told["same"]) == ("1", "0", "same")
    assert int(told["mactime"]) >= 1


def test_wrong_rules_leave_no_evidence_behind(standing: Place) -> None:
    standing.lab("watch", "--lab", standing.name, "--for", "1")
    (standing.folder / "bad.yar").write_text("rule x {", encoding="utf-8")
    ran = standing.lab("evidence", "one", "--lab", standing.name, "--yara", "bad.yar", code=2, timeout=600)
    assert "bad.yar: YARA says" in ran.stderr
    assert list(standing.folder.glob("runs/*/evidence/*")) == []
