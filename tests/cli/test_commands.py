"""Every command, from its words to its exit code, on a lab in memory: no engine, nothing patched."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.cli.main import main
from lab.cli.session import Outside
from lab.detect.alert import read_alerts
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.truth import read_truth
from lab.files import records
from lab.runs.folder import RunFolder
from lab.score.values import Score
from lab.watch.collection import read_collection
from tests.support import SAMPLES
from tests.world import World, completed


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    said: str


class Terminal:
    """Somebody who types commands in a folder."""

    def __init__(self, folder: Path, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.world = world
        self._capsys = capsys

    def lab(self, *arguments: str, code: int | None = 0, typed: bytes = b"") -> Ended:
        """Run a command, with what is piped in; it has to end with the code, unless that is None."""
        outside = Outside(connect=lambda: self.world.engine, folder=self.folder, pause=lambda _seconds: None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["lab", *arguments])
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
            with pytest.raises(SystemExit) as ended:
                main(outside)
        captured = self._capsys.readouterr()
        found = Ended(int(ended.value.code or 0), captured.out, captured.err)
        assert code in {None, found.code}, found
        assert "Traceback" not in found.said
        return found

    def json(self, *arguments: str, code: int = 0) -> object:
        """Run a command and read what it wrote."""
        return json.loads(self.lab(*arguments, "--format", "json", code=code).out)


@pytest.fixture
def terminal(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield Terminal(workplace, World(), capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def standing(terminal: Terminal) -> Terminal:
    terminal.lab("up", "starter")
    return terminal


@pytest.fixture
def finished(standing: Terminal) -> Terminal:
    standing.lab("run", "ssh-brute-force")
    return standing


def last_run(terminal: Terminal) -> RunFolder:
    """Return the run that was made last; two of one second are told apart by when they were written."""
    return RunFolder(max((terminal.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime_ns))


NODES = ["attacker", "bastion", "desk", "sensor", "shop"]


def test_up_builds_the_lab_and_tries_its_walls(terminal: Terminal) -> None:
    ended = terminal.lab("up", "starter")
    assert [line.split("\t")[0] for line in ended.out.splitlines()] == NODES
    assert "isolated: " in ended.said
    assert "none got through" in ended.said
    assert "bastion is ready" in ended.said


def test_up_again_changes_nothing(standing: Terminal) -> None:
    assert "nothing had to be changed" in standing.lab("up", "starter").said


def test_up_stops_where_a_wall_gives_way(terminal: Terminal) -> None:
    terminal.world.found["sockets"] = ["/var/run/docker.sock"]
    assert "the lab is not isolated" in terminal.lab("up", code=1).said


def test_a_dry_run_shows_the_plan_and_changes_nothing(terminal: Terminal) -> None:
    assert terminal.lab("up", "--dry-run").out == terminal.lab("plan").out
    assert terminal.world.engine.labs() == ()


def test_the_plan_of_a_lab_that_is_as_it_should_be_is_empty(standing: Terminal) -> None:
    assert "nothing to change" in standing.lab("plan").out
    assert standing.json("plan") == {"lab": "starter", "changes": []}


def test_verify_shows_every_probe_and_ends_with_1_when_one_got_through(standing: Terminal) -> None:
    assert "none got through" in standing.lab("verify").said
    standing.world.found["hops"] = {"192.0.2.1": "direct"}
    ended = standing.lab("verify", code=1)
    assert "probes got through" in ended.said
    assert "OPEN" in ended.out


def test_verify_without_a_lab_says_what_to_do(terminal: Terminal) -> None:
    assert "lab up starter  makes one" in terminal.lab("verify", code=2).said
    assert "no running lab 'other'" in terminal.lab("verify", "other", code=2).said


def test_reset_makes_a_node_anew(standing: Terminal) -> None:
    before = {it.name: it.id for it in standing.world.engine.observe("starter").nodes}
    standing.lab("reset", "bastion")
    after = {it.name: it.id for it in standing.world.engine.observe("starter").nodes}
    assert {name for name in before if before[name] != after[name]} == {"bastion"}
    assert "no node 'nobody'" in standing.lab("reset", "nobody", code=2).said


def test_what_there_is_is_listed(standing: Terminal) -> None:
    assert standing.lab("ls").out.startswith("starter\t5 of 5\t2\t")
    assert [line.split("\t")[0] for line in standing.lab("status").out.splitlines()] == NODES
    assert standing.lab("top").out.splitlines()[-1].split("\t")[1] == "all"
    assert "no lab 'other'" in standing.lab("status", "other", code=2).said


def test_nothing_is_listed_where_nothing_is(terminal: Terminal) -> None:
    assert "no lab on this machine" in terminal.lab("ls").said
    assert "no lab on this machine" in terminal.lab("status").said
    assert terminal.json("ls") == []


def test_a_node_that_is_not_well_says_why(standing: Terminal) -> None:
    standing.world.special = lambda _node, argv: (
        completed(argv, code=3, said="no pid") if argv[0] == "test" else None
    )
    assert "no pid" in standing.lab("status").out


def test_logs_are_shown_and_followed(standing: Terminal) -> None:
    assert "the last line" in standing.lab("logs", "bastion").out
    assert standing.lab("logs", "bastion", "--source", "sshd", "--follow").out == "the last line\n"
    assert "there is: console, sshd, snoopy" in standing.lab("logs", "bastion", "--source", "x", code=2).said
    assert "no log file of attacker" in standing.lab("logs", "attacker", "--follow", code=2).said


def test_a_command_on_a_node_ends_with_its_code_and_outputs(standing: Terminal) -> None:
    standing.world.special = lambda _node, argv: completed(argv, "here", code=7, said="there")
    ended = standing.lab("exec", "bastion", "--", "id", code=7)
    assert (ended.out, ended.said) == ("here", "there")
    assert "no running node 'nobody'" in standing.lab("exec", "nobody", "--", "id", code=2).said


def test_what_is_piped_in_is_read_by_the_command(standing: Terminal) -> None:
    standing.lab("shell", "bastion", typed=b"id\n")
    standing.lab("exec", "bastion", "--", "cat", typed=b"twice")
    assert standing.world.ran[-2:] == [("bastion", ("bash", "-s")), ("bastion", ("cat",))]
    assert standing.world.engine.typed == b"id\ntwice"


def test_a_run_is_played_watched_scored_and_reported(standing: Terminal) -> None:
    ended = standing.lab("run", "ssh-brute-force")
    run = last_run(standing)
    assert run.header().state == "done"
    attacks = [it for it in read_truth(run.happened) if it.label == "attack"]
    assert [it.status for it in attacks] == ["ran"] * 8
    assert {it.title for it in read_alerts(run.noticed)} >= {
        "SSH password guessing from one address",
        "SSH log-in after password guessing",
    }
    assert "ALERT high" in ended.said
    assert "Guess the password of an account\tT1110.001\tdetected" in ended.out
    assert run.report.exists()
    assert {path.name for path in run.noticed.packets.iterdir()} == {"inside.pcap", "outside.pcap"}
    assert read_collection(run.noticed).notes == ()


def test_everything_read_is_counted_and_kept(finished: Terminal) -> None:
    run = last_run(finished)
    counts = {
        (it.host, it.source): (it.read, it.parsed, it.dropped) for it in read_collection(run.noticed).logs
    }
    assert counts["bastion", "sshd"] == (12, 12, 0)
    assert counts["bastion", "snoopy"] == (5, 5, 0)
    raw = (run.noticed.raw / "bastion" / "var" / "log" / "auth.log").read_text(encoding="utf-8")
    assert sum("canary-" not in line for line in raw.splitlines()) == 12


def test_a_run_needs_all_of_its_lab(standing: Terminal) -> None:
    (bastion,) = [it for it in standing.world.engine.observe("starter").nodes if it.name == "bastion"]
    standing.world.engine.stop_node(bastion)
    assert "no running node 'bastion'" in standing.lab("run", "ssh-brute-force", code=2).said


def test_a_run_that_is_stopped_says_so_and_keeps_what_was_written(standing: Terminal) -> None:
    def interrupt(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        if argv[0] == "hydra":
            raise KeyboardInterrupt
        return None

    standing.world.special = interrupt
    assert "stopped" in standing.lab("run", "ssh-brute-force", code=130).said
    run = last_run(standing)
    assert run.header().state == "stopped"
    assert "stopped by the user" in {it.reason for it in read_truth(run.happened)}


def test_a_run_is_scored_reported_questioned_and_recorded_again(finished: Terminal) -> None:
    run = last_run(finished)
    before = run.score.read_bytes()
    finished.lab("score")
    assert run.score.read_bytes() == before
    assert finished.lab("report").out.strip() == f"report: {run.report}"
    assert finished.lab("report", "--markdown").out == run.report_text.read_text(encoding="utf-8")
    asked = "SELECT count(*) AS n FROM events WHERE \"event.module\" = 'sshd'"
    assert finished.json("query", asked) == [{"n": 12}]
    assert finished.lab("query", asked, "--format", "csv").out == "n\n12\n"
    assert finished.lab("query", asked).out == "12\n"
    assert "only SELECT" in finished.lab("query", "DROP TABLE events", code=2).said
    assert finished.lab("record", "--to", "mine").out.strip() == str(finished.folder / "mine")
    finished.lab("replay", "mine")
    again = last_run(finished)
    assert again.header().replay_of == run.path.name
    assert {it.title for it in read_alerts(again.noticed)} == {it.title for it in read_alerts(run.noticed)}


def test_a_recording_of_the_users_own_is_found_by_its_name(finished: Terminal) -> None:
    finished.lab("record", "--to", "recordings/mine")
    assert "REPLAY of a run recorded" in finished.lab("replay", "mine").said
    assert "no run 'theirs'" in finished.lab("replay", "theirs", code=2).said


def test_down_removes_the_lab_and_shows_a_receipt(standing: Terminal) -> None:
    ended = standing.lab("down", "starter", code=None)
    assert "removed\t5 nodes\tattacker, bastion, desk, sensor, shop" in ended.out
    assert standing.world.engine.labs() == ()
    assert "no lab is running" in standing.lab("down").out
    assert "is not running; nothing to remove" in standing.lab("down", "starter").out
    assert "no lab 'starterr'" in standing.lab("down", "starterr", code=2).said
    assert "is empty; leave it out" in standing.lab("down", "", code=2).said


def test_down_of_everything(standing: Terminal) -> None:
    standing.lab("down", "--all", code=None)
    assert standing.world.engine.labs() == ()


def test_old_images_are_listed_and_removed(terminal: Terminal) -> None:
    with terminal.world.engine.open_baking("scratch:latest", lab="x", role="sshd") as node:
        terminal.world.engine.commit(node, "homerange/sshd:000000000000", {"homerange.baked": "0"})
    assert "homerange/sshd:000000000000" in terminal.lab("prune", "--dry-run").out
    assert "1 images removed" in terminal.lab("prune").said
    assert terminal.json("prune", "--dry-run") == []
    assert len(terminal.lab("prune", "--all", "--dry-run").out.splitlines()) == 5


def test_the_doctor_looks_at_everything(terminal: Terminal) -> None:
    ended = terminal.lab("doctor", code=None)
    states = {line.split("\t")[0]: line.split("\t")[1] for line in ended.out.splitlines()}
    assert states["engine"] == "ready"
    assert states["memory"] == "ready"
    assert "this folder" in states


def test_the_demo_does_the_whole_job(terminal: Terminal) -> None:
    ended = terminal.lab("demo", "--yes", code=None)
    assert "recall\t100%" in ended.out
    assert "receipt for lab starter" in ended.out
    assert terminal.world.engine.labs() == ()


def test_the_demo_replays_where_that_is_asked(terminal: Terminal) -> None:
    ended = terminal.lab("demo", "--replay")
    assert "REPLAY of a run recorded" in ended.said
    assert records.read(last_run(terminal).score, Score).recall.value == 1


@pytest.mark.parametrize("what", ["scenario", "inventory", "node"])
def test_schemas_are_written(what: str, terminal: Terminal) -> None:
    assert json.loads(terminal.lab("schema", what).out)["$schema"].endswith("2020-12/schema")
    assert "there is: inventory, scenario, node" in terminal.lab("schema", "nothing", code=2).said


def test_help_and_version_need_nothing(terminal: Terminal) -> None:
    assert "Start with:  lab demo" in terminal.lab().out
    assert terminal.lab("--version").out.startswith("lab ")


@pytest.mark.parametrize("nodes", ["0", "x", "6,,50", "9999"])
def test_a_contest_needs_numbers(nodes: str, terminal: Terminal) -> None:
    assert "write numbers from 1 to" in terminal.lab("bench", "up", "--nodes", nodes, code=2).said


def test_exercises_are_listed_with_what_was_detected_last_time(finished: Terminal) -> None:
    (finished.folder / "scenarios").mkdir()
    (finished.folder / "scenarios" / "broken.yml").write_text("name: broken\nsteps: 5\n", encoding="utf-8")
    ended = finished.lab("scenarios", "--format", "json")
    found = {it["name"]: it for it in json.loads(ended.out)}
    assert {"recon", "sql-injection", "ssh-brute-force"} <= set(found)
    assert (found["ssh-brute-force"]["runs"], found["ssh-brute-force"]["recall"][-4:]) == (1, "of 8")
    assert (found["recon"]["runs"], found["recon"]["recall"]) == (0, "")
    assert "broken.yml:2: steps must be a list" in ended.said


def test_a_scenario_is_read_without_a_lab(terminal: Terminal) -> None:
    found = terminal.json("lint", "recon")
    assert isinstance(found, dict)
    assert [it["technique"] for it in found["steps"]][:2] == ["T1018", "T1018"]
    terminal.lab("lint", "nosuch", code=2)


def test_a_run_that_came_to_its_end_is_not_resumed(finished: Terminal) -> None:
    assert "came to its end" in finished.lab("resume", code=2).said
    assert "came to its end" in finished.lab("clean", code=2).said


def test_atomic_tests_are_listed_and_shown(terminal: Terminal) -> None:
    checkout = str(SAMPLES / "atomics")
    found = terminal.json("atomic", "list", "--from", checkout)
    assert isinstance(found, list)
    assert {it["technique"] for it in found} >= {"T1053.003", "T1105"}
    shown = terminal.lab("atomic", "show", "T1053.003", "2").out
    assert 'echo "#{command}" > /etc/cron.daily/#{cron_script_name}' in shown
    everywhere = terminal.json("atomic", "list", "T1105", "--platform", "any")
    assert isinstance(everywhere, list)
    assert len(everywhere) > len([it for it in found if it["technique"] == "T1105"])
    for arguments in (("run",), ("run", "T9999"), ("run", "T1053.003", "1", "--argument", "x")):
        terminal.lab("atomic", *arguments, code=2)


def test_a_blind_run_shows_neither_steps_nor_alerts_nor_score(standing: Terminal) -> None:
    ended = standing.lab("run", "ssh-brute-force", "--blind")
    run = last_run(standing)
    assert ended.out.strip() == run.path.name
    assert f"lab grade {run.path.name} FILE" in ended.said
    for hidden in ("T1046", "ALERT", "Guess the password", "recall"):
        assert hidden not in ended.out + ended.said
    assert [it.name for it in read_truth(run.happened) if it.label == "attack"]


def test_a_run_that_pauses_says_what_is_next_and_where_to_look(standing: Terminal) -> None:
    ended = standing.lab("run", "ssh-brute-force", "--pause", typed=b"\n" * 20)
    assert "next: Guess the password of an account" in ended.said
    assert "technique: T1110.001 Password Guessing" in ended.said
    assert "watch: bastion auth.log: failures in a row" in ended.said
    assert ended.said.index("next: Log in with") < ended.said.index("T1078.003  Log in with")


def test_pausing_and_hiding_exclude_each_other(standing: Terminal) -> None:
    assert "take one of them" in standing.lab("run", "ssh-brute-force", "--pause", "--blind", code=2).said


def test_an_exercise_for_another_lab_says_which(standing: Terminal) -> None:
    ended = standing.lab("run", "mock-breach", code=2)
    assert "it was written for the lab office, not for starter;  lab up office  makes that" in ended.said


def test_the_seed_of_a_run_can_be_given(standing: Terminal) -> None:
    standing.lab("run", "ssh-brute-force", "--seed", "7")
    assert last_run(standing).header().seed == 7


def test_a_timeline_is_graded(finished: Terminal) -> None:
    run = last_run(finished)
    scan = next(it for it in read_truth(run.happened) if it.technique == "T1046")
    path = finished.folder / "mine.csv"
    path.write_text(f"time,technique\n{scan.start.iso()},T1046\n+9999,T1110\n", encoding="utf-8")
    found = finished.json("grade", run.path.name, "mine.csv")
    assert isinstance(found, dict)
    assert (found["recall"]["hits"], found["precision"]["total"]) == (1, 2)
    ended = finished.lab("grade", run.path.name, "mine.csv")
    assert "found\tFind open services on the bastion\tT1046" in ended.out
    hints = finished.lab("grade", run.path.name, "mine.csv", "--hints").out
    assert "T1110" not in hints
    assert "look at what" in hints
    path.write_text("time,technique\nsoon,T9\n", encoding="utf-8")
    said = finished.lab("grade", run.path.name, "mine.csv", code=2).said
    assert "mine.csv:2: 'soon' is no time" in said
    assert "unknown technique 'T9'" in said


def test_coverage_is_a_table_and_a_layer(terminal: Terminal) -> None:
    ended = terminal.lab("coverage", "--navigator", "layer.json")
    assert "T1046\tNetwork Service Discovery\tdiscovery\t" in ended.out
    layer = json.loads((terminal.folder / "layer.json").read_text(encoding="utf-8"))
    assert len(layer["techniques"]) == len(ended.out.splitlines())
