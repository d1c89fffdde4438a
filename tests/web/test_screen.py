"""The screen over HTTP: what each address shows, who may ask, and what is kept of what was done."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.files import records
from lab.runs.case import CaseEntry, frozen
from lab.runs.triage import Triage, standings
from tests.web.serving import RUN, Client, Server, an_alert, bare_run, serving

PAGES = ("inbox", "hunt", "bars", "sql", "case", "live", "why", "answers", "report")


def first_alert(server: Server) -> dict[str, object]:
    found: dict[str, object] = json.loads((server.run / "alerts.jsonl").read_text("utf-8").splitlines()[0])
    return found


def acts(run: Path) -> tuple[Triage, ...]:
    return records.read_lines(run / "triage.jsonl", Triage)


# -- what is shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_each_page_of_a_run_is_there(screen: Server, name: str) -> None:
    answer = screen.client.ask(f"/run/{RUN}/{name}")
    assert answer.status == 200
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/", "/coverage", "/history", f"/compare?a={RUN}&b={RUN}"])
def test_pages_over_all_runs(screen: Server, path: str) -> None:
    answer = screen.client.ask(path)
    assert (answer.status, RUN in answer.text or RUN[:15] in answer.text) == (200, True)


@pytest.mark.parametrize("by", ["pair", "rule", "incident", "source", "technique", "alert"])
def test_lines_of_the_inbox_have_all_alerts(screen: Server, by: str) -> None:
    alerts = len((screen.run / "alerts.jsonl").read_text("utf-8").splitlines())
    text = screen.client.ask(f"/run/{RUN}/inbox?by={by}&state=all").text
    assert f"{alerts} alerts in" in text
    if by != "technique":
        assert sum(map(int, re.findall(r'data-count="(\d+)"', text))) == alerts


def test_from_an_alert_to_the_line_in_its_file(screen: Server) -> None:
    alert = first_alert(screen)
    page = screen.client.ask(f"/run/{RUN}/alert/{alert['id']}").text
    (event,) = set(re.findall(rf"/run/{RUN}/event/([0-9a-f]+)", page)[:1])
    shown = screen.client.ask(f"/run/{RUN}/event/{event}").text
    assert re.search(r"[a-z]+:/[\w/.]+:\d+", shown), "host, file and line number"
    assert "<pre" in shown
    assert "@timestamp" in shown


def test_a_hunt_is_its_address(screen: Server) -> None:
    found = screen.client.ask(f"/run/{RUN}/hunt?f=event.module%3Dsshd&x=user.name%3Dmaria&q=CONNECTION").text
    rows = found.partition('<table class="hunt"')[2]
    assert rows.count('class="open"') > 0
    assert 'data-field="event.module"' in rows
    assert ">maria<" not in rows
    assert ">suricata<" not in rows


def test_values_are_counted_over_all_events(screen: Server) -> None:
    text = screen.client.ask(f"/run/{RUN}/values?group=event.module").text
    counted = {
        name: int(n.replace(",", ""))
        for name, n in re.findall(r">(\w+)</a></td><td class=\"n\">([\d,]+)", text)
    }
    whole = screen.client.ask(f"/run/{RUN}/bars?").text
    total = int(re.search(r"<b>([\d,]+)</b> events", whole)[1].replace(",", ""))  # type: ignore[index]
    assert sum(counted.values()) == total == 1318


def test_bars_of_a_time_count_what_is_in_it(screen: Server) -> None:
    query = "from=2026-11-25T06:11:10Z&to=2026-11-25T06:11:20Z"
    bars = screen.client.ask(f"/run/{RUN}/bars?{query}").text
    listed = screen.client.ask(f"/run/{RUN}/events.csv?{query}").text
    assert int(re.search(r"<b>([\d,]+)</b> events", bars)[1].replace(",", "")) == listed.count("\n") - 1  # type: ignore[index]


def test_a_question_in_sql_has_the_limits_of_lab_query(screen: Server) -> None:
    ask = screen.client.ask
    assert (
        ">1,318<" in ask(f"/run/{RUN}/sql?sql=" + quote("SELECT format('{:,}', count(*)) FROM events")).text
    )
    refused = ask(f"/run/{RUN}/sql?sql=" + quote("COPY events TO '/tmp/x.csv'"))
    assert (refused.status, "only SELECT" in refused.text) == (400, True)
    outside = ask(f"/run/{RUN}/sql?sql=" + quote("SELECT * FROM read_text('/etc/passwd')"))
    assert (outside.status, "root:" in outside.text) == (400, False)


def test_an_entity_has_what_it_did_and_its_processes(screen: Server) -> None:
    text = screen.client.ask(f"/run/{RUN}/entity?field=host.name&value=bastion").text
    assert 'class="tree' in text
    assert "Alerts that name it" in text
    assert screen.client.ask(f"/run/{RUN}/entity?field=url.path&value=x").status == 400


def test_the_report_opens_with_a_policy_of_its_own(screen: Server) -> None:
    answer = screen.client.ask(f"/run/{RUN}/report")
    assert "sandbox allow-scripts" in answer.headers["content-security-policy"]
    assert "homerange" in answer.text


def test_why_asks_the_rules_of_today(screen: Server) -> None:
    text = screen.client.ask(f"/run/{RUN}/reasons").text
    assert "Missed, and why" in text
    assert "Near misses" in text


def test_tuning_says_which_true_alerts_would_be_lost(screen: Server) -> None:
    alerts = [json.loads(it) for it in (screen.run / "alerts.jsonl").read_text("utf-8").splitlines()]
    rule = next(it for it in alerts if it["title"].startswith("Looking around"))["rule_id"]
    count = sum(it["rule_id"] == rule for it in alerts)
    text = screen.client.ask(f"/run/{RUN}/rule?id={rule}&f=host.name%3Dbastion").text
    assert f"<b>{count}</b> of {count} alerts would be gone" in text
    assert f"<b>{count}</b> of those are true" in text
    kept = screen.client.ask(f"/run/{RUN}/rule?id={rule}&f=host.name%3Delsewhere").text
    assert f"<b>0</b> of {count} alerts would be gone" in kept


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/run/nothing/inbox", 404),
        ("/run/..%2f..%2fetc/inbox", 404),
        (f"/run/{RUN}/alert/none", 404),
        (f"/run/{RUN}/event/none", 404),
        (f"/run/{RUN}/hunt?f=password%3Dx", 400),
        (f"/run/{RUN}/hunt?from=yesterday", 400),
        (f"/run/{RUN}/hunt?group=nonsense", 400),
        (f"/run/{RUN}/connection?id=none", 404),
        (f"/run/{RUN}/packets?id=none", 404),
        ("/static/x/../../app.py", 404),
        ("/static/x/app.py", 404),
        ("/nowhere", 404),
    ],
)
def test_what_is_not_there_or_wrong_is_said_on_a_page(screen: Server, path: str, status: int) -> None:
    answer = screen.client.ask(path)
    assert answer.status == status
    assert "Traceback" not in answer.text


# -- who may ask -------------------------------------------------------------------------------------


def test_without_the_token_nothing_is_shown(screen: Server) -> None:
    stranger = Client(screen.client.address)
    stranger.cookie = ""
    assert stranger.ask("/").status == 401
    assert stranger.ask("/?token=guessed").status == 401
    stranger.cookie = f"homerange-{stranger.port}=guessed"
    assert stranger.ask(f"/run/{RUN}/inbox").status == 401
    assert stranger.ask("/static/x/screen.js").status == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", ""])
def test_a_name_that_is_not_ours_is_refused(screen: Server, host: str) -> None:
    assert screen.client.ask("/", host=host).status == 421


def test_the_server_answers_to_localhost(screen: Server) -> None:
    assert screen.client.ask("/", host=f"localhost:{screen.client.port}").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_page_changes_nothing(own_screen: Server, headers: dict[str, str]) -> None:
    body = f"act=acknowledge&alert={first_alert(own_screen)['id']}"
    answer = own_screen.client.ask(f"/run/{RUN}/triage", method="POST", body=body, **headers)
    assert answer.status == 403
    assert acts(own_screen.run) == ()


def test_nothing_is_changed_by_reading(screen: Server) -> None:
    assert screen.client.ask(f"/run/{RUN}/triage?act=acknowledge&all=1").status == 405


@pytest.mark.parametrize("path", ["/", f"/run/{RUN}/inbox", "/nowhere", "/static/x/screen.css"])
def test_every_answer_says_what_a_page_may_load(screen: Server, path: str) -> None:
    headers = screen.client.ask(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


def test_the_cookie_is_not_for_scripts_or_other_sites(screen: Server) -> None:
    token = screen.client.address.partition("/?")[2]
    said = screen.client.ask(f"/?{token}&q=1").headers
    assert said["location"] == "/?q=1"
    assert {"httponly", "samesite=strict"} <= {it.strip().lower() for it in said["set-cookie"].split(";")}


def test_one_is_sent_back_to_us_and_nowhere_else(own_screen: Server) -> None:
    alert = str(first_alert(own_screen)["id"])
    for back in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        answer = own_screen.client.post(f"/run/{RUN}/triage", act="note", alert=alert, note="x", back=back)
        assert answer.headers["location"].startswith(f"/run/{RUN}/inbox")


def test_others_reach_it_only_with_a_word_and_a_token(recorded: Path) -> None:
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", "serve", "--host", "0.0.0.0"]
    refused = subprocess.run(command, cwd=recorded, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2
    assert "--token" in refused.stderr


def test_ctrl_c_ends_it_at_once_and_in_order_whoever_listens(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded, tmp_path / "lab")
    with serving(tmp_path / "lab") as server:
        header = json.loads((server.run / "run.json").read_text("utf-8"))
        going = {**header, "ended": None, "state": "running"}
        (server.run / "run.json").write_text(json.dumps(going), encoding="utf-8")
        listener = threading.Thread(target=server.client.ask, args=(f"/run/{RUN}/stream",), daemon=True)
        listener.start()
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        _, said = server.process.communicate(timeout=10)
        assert server.process.returncode == 0
        assert "Ctrl-C ends it" in said
        assert "ERROR" not in said
        assert "Traceback" not in said


def test_a_port_that_is_taken_is_said(screen: Server) -> None:
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", "serve"]
    command += ["--port", str(screen.client.port)]
    refused = subprocess.run(
        command, cwd=screen.folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 3
    assert "cannot be listened on" in refused.stderr


# -- what is done ------------------------------------------------------------------------------------


def test_an_act_is_kept_and_can_be_undone(own_screen: Server) -> None:
    alert = str(first_alert(own_screen)["id"])
    post = own_screen.client.post
    done = post(f"/run/{RUN}/triage", act="acknowledge", alert=alert).headers["location"]
    assert standings(acts(own_screen.run))[alert].acknowledged
    assert "data-count" in own_screen.client.ask(f"/run/{RUN}/inbox?state=done").text
    identity = done.partition("done=")[2]
    assert post(f"/run/{RUN}/triage", act="undo", undoes=identity).status == 303
    assert alert not in standings(acts(own_screen.run))
    assert post(f"/run/{RUN}/triage", act="undo", undoes="nothing").status == 404


def test_a_disposition_has_its_reason_and_note_in_one_movement(own_screen: Server) -> None:
    alert = str(first_alert(own_screen)["id"])
    said = {"disposition": "TruePositive", "reason": "T1018", "note": "seen before"}
    own_screen.client.post(f"/run/{RUN}/triage", act="dispose", alert=alert, **said)
    (found,) = acts(own_screen.run)
    assert (found.disposition, found.reason, found.note) == ("TruePositive", "T1018", "seen before")
    page = own_screen.client.ask(f"/run/{RUN}/alert/{alert}").text
    assert "seen before" in page
    assert own_screen.client.post(f"/run/{RUN}/triage", act="dispose", alert=alert).status == 400


def test_what_is_done_to_all_is_confirmed_with_its_count(own_screen: Server) -> None:
    count = len((own_screen.run / "alerts.jsonl").read_text("utf-8").splitlines())
    back = f"/run/{RUN}/inbox?by=pair"
    asked = own_screen.client.post(f"/run/{RUN}/triage", act="acknowledge", all="1", back=back)
    assert (asked.status, f'name="count" value="{count}"' in asked.text) == (409, True)
    wrong = own_screen.client.post(f"/run/{RUN}/triage", act="acknowledge", all="1", back=back, count="1")
    assert wrong.status == 409
    assert acts(own_screen.run) == ()
    right = own_screen.client.post(
        f"/run/{RUN}/triage", act="acknowledge", all="1", back=back, count=str(count)
    )
    assert right.status == 303
    assert len(standings(acts(own_screen.run))) == count
    assert "0 alerts in 0 lines" in own_screen.client.ask(f"/run/{RUN}/inbox").text


def test_nothing_chosen_and_nothing_possible_are_said(own_screen: Server) -> None:
    post = own_screen.client.post
    assert post(f"/run/{RUN}/triage", act="acknowledge").status == 400
    assert post(f"/run/{RUN}/triage", act="destroy", alert="x").status == 400
    assert acts(own_screen.run) == ()


def test_a_finding_is_added_and_a_closed_case_takes_nothing_more(own_screen: Server) -> None:
    client, case = own_screen.client, f"/run/{RUN}/case"
    assert client.post(case, sort="opened").status == 303
    wrong = client.post(case, sort="finding", host="moon", technique="T0", events="none")
    assert wrong.status == 400
    for said in ("no node &#39;moon&#39;", "unknown technique &#39;T0&#39;", "the id none"):
        assert said in wrong.text
    good = {"host": "bastion", "technique": "t1110.001", "text": "<b>guessed</b>"}
    assert client.post(case, sort="finding", **good).status == 303
    shown = client.ask(case).text
    assert "&lt;b&gt;guessed&lt;/b&gt;" in shown
    assert "Close the case" in shown
    assert client.post(case, sort="closed", text="done").status == 303
    assert client.post(case, sort="note", text="late").status == 400
    kept = records.read_lines(own_screen.run / "case.jsonl", CaseEntry)
    assert [it.sort for it in kept] == ["opened", "finding", "closed"]
    assert frozen(kept).untouched
    shown = client.ask(case).text
    assert "what it has is frozen" in shown
    assert "Keep the finding" not in shown


def test_a_case_has_pins_entries_notes_and_what_is_taken_out(own_screen: Server) -> None:
    event = str(first_alert(own_screen)["event_ids"][0])  # type: ignore[index]
    post, case = own_screen.client.post, f"/run/{RUN}/case"
    assert post(case, sort="pin", event=event, text="here it began").status == 303
    assert post(case, sort="entry", when="2026-11-25T06:00:00", text="a call came in").status == 303
    assert post(case, sort="indicator", text="10.0.0.9").status == 303
    assert post(case, sort="pin", event="none").status == 404
    assert post(case, sort="entry", when="at noon", text="x").status == 400
    assert post(case, sort="note", text=" ").status == 400
    shown = own_screen.client.ask(case).text
    assert shown.index("a call came in") < shown.index("here it began") < shown.index("10.0.0.9")
    kept = records.read_lines(own_screen.run / "case.jsonl", CaseEntry)
    assert post(case, sort="removed", removes=kept[0].id).status == 303
    assert "here it began" not in own_screen.client.ask(case).text


def test_a_kill_loses_no_act_of_two_clients_that_was_answered(tmp_path: Path) -> None:
    alerts = [an_alert(number) for number in range(1000)]
    run = bare_run(tmp_path, "20261127-000001-many", [], alerts)
    answered: list[str] = []
    with serving(tmp_path) as server:
        clients = [server.client, Client(server.client.address)]

        def work(client: Client, mine: list[str]) -> None:
            for it in mine:
                try:
                    done = client.post(f"/run/{run.name}/triage", act="acknowledge", alert=it)
                except OSError:
                    return
                if done.status == 303:
                    answered.append(it)

        ids = [str(it["id"]) for it in alerts]
        workers = [threading.Thread(target=work, args=(it, ids[n::2])) for n, it in enumerate(clients)]
        for it in workers:
            it.start()
        while len(answered) < 500:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGKILL)
        for it in workers:
            it.join()
    assert len(answered) >= 500
    assert set(answered) <= standings(acts(run)).keys()
    with serving(tmp_path) as again:  # a torn last line, where there is one, is no trouble
        done = again.client.post(f"/run/{run.name}/triage", act="escalate", alert=ids[-1])
        assert done.status == 303
    assert set(answered) | {ids[-1]} <= standings(acts(run)).keys()


# -- blind runs, and grades --------------------------------------------------------------------------


def test_a_blind_run_hides_what_happened_until_the_answers_are_in(own_screen: Server) -> None:
    header = json.loads((own_screen.run / "run.json").read_text("utf-8"))
    (own_screen.run / "run.json").write_text(json.dumps({**header, "blind": True}), encoding="utf-8")
    ask, post = own_screen.client.ask, own_screen.client.post
    step = "Guess the password of an account"
    assert ask(f"/run/{RUN}/report").status == 404
    for place in ("live", "why", "reasons", "inbox", "answers"):
        assert step not in ask(f"/run/{RUN}/{place}").text, place
    assert ask(f"/run/{RUN}/sql?sql=" + quote("SELECT * FROM truth")).status == 400
    assert ">100%" not in ask("/").text
    alerts = [json.loads(it) for it in (own_screen.run / "alerts.jsonl").read_text("utf-8").splitlines()]
    right = next(it for it in alerts if it["techniques"])
    post(
        f"/run/{RUN}/triage",
        act="dispose",
        alert=right["id"],
        disposition="TruePositive",
        reason="T1018 T1046",
    )
    assert post(f"/run/{RUN}/triage", act="answer").status == 303
    post(f"/run/{RUN}/triage", act="dispose", alert=alerts[-1]["id"], disposition="TruePositive")  # too late
    graded = ask(f"/run/{RUN}/graded").text
    assert f"1 of {len(alerts)}" in graded
    assert step in ask(f"/run/{RUN}/why").text
    assert ask(f"/run/{RUN}/report").status == 200


# -- what an attacker writes -------------------------------------------------------------------------

HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "\u202eevil\u202c \x1b[31mred\x1b[0m \x07",
    "=cmd|' /C calc'!A0",
    "{{ 7*7 }} ${7*7} %0d%0aSet-Cookie: a=b",
    "javascript:document.title='owned'",
)


def hostile_run(folder: Path) -> Path:
    """Make a run with hostile text in every field that is shown."""
    events = [
        {
            "@timestamp": 1795587074000000000 + number,
            "event.id": f"event-{number}",
            "event.created": 1795587074000000000,
            "event.ingested": 1795587074000000000,
            "event.kind": "event",
            "event.module": text,
            "event.action": text,
            "event.outcome": text,
            "event.category": ("process", text),
            "event.original": text * (200_000 if number == 0 else 1),
            "host.name": text,
            "user.name": text,
            "log.file.path": text,
            "homerange.line": 1,
            "process.pid": 7,
            "process.command_line": text,
            "network.community_id": text,
        }
        for number, text in enumerate(HOSTILE)
    ]
    alerts = [
        an_alert(
            number,
            title=text,
            rule_id=text,
            techniques=[text],
            entities={"source.ip": [text], "host.name": [text], "user.name": [text]},
        )
        for number, text in enumerate(HOSTILE)
    ]
    run = bare_run(folder, "20261127-000002-hostile", events, alerts)  # type: ignore[arg-type]
    header = json.loads((run / "run.json").read_text("utf-8"))
    changed = {"scenario": HOSTILE[0], "summary": HOSTILE[1], "lab": HOSTILE[1]}
    (run / "run.json").write_text(json.dumps({**header, **changed}), encoding="utf-8")
    lab = json.loads((run / "lab.json").read_text("utf-8"))
    lab["nodes"][0]["name"] = HOSTILE[0]
    (run / "lab.json").write_text(json.dumps(lab), encoding="utf-8")
    return run


def test_what_an_attacker_writes_is_shown_and_does_nothing(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    with serving(tmp_path) as server:
        for path in _every_page(run.name):
            answer = server.client.ask(path)
            assert answer.status == 200, path
            assert "<script>document" not in answer.text, path
            assert "<img" not in answer.text, path
            assert "\x1b" not in answer.text, path
            assert "\u202e" not in answer.text, path
            assert 'href="javascript' not in answer.text, path
            assert len(answer.text) < 2_000_000, path


def _every_page(run: str) -> list[str]:
    root = f"/run/{run}"
    pages = ["/", f"{root}/inbox", f"{root}/hunt?bars=1&group=user.name", f"{root}/live", f"{root}/case"]
    pages += [f"{root}/inbox?by={it}&state=all" for it in ("incident", "technique", "source")]
    for number, text in enumerate(HOSTILE):
        pages += [
            f"{root}/alert/{number:016x}",
            f"{root}/event/event-{number}",
            f"{root}/rule?id={quote(text)}",
        ]
        pages += [f"{root}/entity?field=user.name&value={quote(text)}", f"{root}/hunt?q={quote(text)}"]
        pages += [f"{root}/connection?id={quote(text)}"]
    return pages


def test_a_table_for_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    with serving(tmp_path) as server:
        text = server.client.ask(f"/run/{run.name}/events.csv?").text
        asked = "/sql?csv=1&sql=" + quote('SELECT "user.name" FROM events')
        answer = server.client.ask(f"/run/{run.name}{asked}").text
    cells = [cell for it in (text, answer) for row in csv.reader(io.StringIO(it)) for cell in row]
    assert cells
    assert [it for it in cells if it[:1] in set("=+@|%\t\r") or it.startswith("-")] == []
