"""A real server over a folder, asked over HTTP as a browser would."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from lab.files.workplace import CARRIED
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store

RUN = "20261125-061043-ssh-brute-force"

_LAB = "from lab.cli.entry import entry; entry()"


@dataclass
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Client:
    """A browser without a screen: it has the cookie, and says where it comes from."""

    address: str
    host: str = field(init=False)
    port: int = field(init=False)
    cookie: str = field(init=False)

    def __post_init__(self) -> None:
        """Open the address with the token, and keep the cookie."""
        found = re.fullmatch(r"http://([\d.]+):(\d+)(/\?token=\S+)", self.address)
        assert found is not None
        self.host, self.port, self.cookie = found[1], int(found[2]), ""
        first = self.ask(found[3])
        assert first.status == 303
        self.cookie = first.headers["set-cookie"].partition(";")[0]

    def ask(self, path: str, *, method: str = "GET", body: str = "", **headers: str) -> Answer:
        """Ask for something."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        said = {"cookie": self.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, body=body or None, headers=said)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def post(self, path: str, *fields: tuple[str, str], **said: str) -> Answer:
        """Send a form, as a page of the server does."""
        origin = f"http://{self.host}:{self.port}"
        return self.ask(path, method="POST", body=urlencode([*fields, *said.items()]), origin=origin)


@dataclass
class Server:
    """A server, and a client that has its cookie."""

    folder: Path
    process: subprocess.Popen[str]
    client: Client

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.folder / "runs" / RUN


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Server]:
    """Serve a folder until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LAB, "serve", "--port", "0", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        yield Server(folder, process, Client(address))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def shipped_run(folder: Path) -> Path:
    """Make a run of the recording that ships: its events, its alerts, its score."""
    subprocess.run(
        [sys.executable, "-c", _LAB, "replay", "ssh-brute-force"], cwd=folder, check=True, capture_output=True
    )
    (made,) = (folder / "runs").iterdir()
    target = made.with_name(RUN)
    made.rename(target)
    header = json.loads((target / "run.json").read_text("utf-8"))
    # As if it had been played here: replays are left out of history and coverage.
    (target / "run.json").write_text(json.dumps({**header, "id": RUN, "replay_of": ""}), encoding="utf-8")
    return target


def bare_run(
    folder: Path, name: str, events: Sequence[Event], alerts: Sequence[Mapping[str, object]]
) -> Path:
    """Make a run of some events and alerts, with the lab and the truth of the recording."""
    run = folder / "runs" / name
    shutil.copytree(CARRIED / "recordings" / "ssh-brute-force", run)
    shutil.rmtree(run / "events")
    header = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "id": name}), encoding="utf-8")
    if events:
        Store(run / "events").append(Events.of(events))
    (run / "alerts.jsonl").write_text("".join(json.dumps(it) + "\n" for it in alerts), encoding="utf-8")
    return run


def an_alert(number: int, **changes: object) -> dict[str, object]:
    """Return an alert as its file has it."""
    moment = f"2026-11-25T06:11:{number % 60:02d}.000000000Z"
    return {
        "id": f"{number:016x}",
        "engine": "sigma",
        "rule_id": "rule-1",
        "rule_hash": "0" * 64,
        "title": "Something happened",
        "level": "high",
        "techniques": ["T1110"],
        "tactics": ["credential-access"],
        "first_event": moment,
        "ingested": moment,
        "raised": moment,
        "entities": {"source.ip": ["10.9.0.1"], "host.name": ["bastion"], "user.name": ["maria"]},
        "event_ids": [f"event-{number}"],
        "evidence_count": 1,
        **changes,
    }
