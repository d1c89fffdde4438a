"""The screen in a real browser: every interaction, by mouse and by keyboard, on a real run."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from lab.files import records
from lab.runs.case import CaseEntry
from lab.runs.triage import Triage, standings
from tests.web.serving import RUN, Server, an_alert, bare_run, serving
from tests.web.test_screen import HOSTILE, hostile_run

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

PAGES = ("inbox", "hunt?group=event.module", "sql", "case", "live", "why", "answers")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium; that there is none fails the tests."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert program, "no Chromium: apt install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield started
        started.close()


def opened(browser: Browser, server: Server, **settings: object) -> Iterator[Page]:
    """Open the address that the server printed; whatever a page asks elsewhere, or complains of, fails."""
    context: BrowserContext = browser.new_context(**settings)  # type: ignore[arg-type]
    page = context.new_page()
    elsewhere: list[str] = []
    complaints: list[str] = []
    ours = f"http://127.0.0.1:{server.client.port}/"
    page.on("request", lambda it: elsewhere.append(it.url) if not it.url.startswith(ours) else None)
    page.on("pageerror", lambda it: complaints.append(str(it)))
    page.on("console", lambda it: complaints.append(it.text) if "Security Policy" in it.text else None)
    page.goto(server.client.address)
    yield page
    context.close()
    assert elsewhere == []
    assert complaints == []


@pytest.fixture
def page(browser: Browser, screen: Server) -> Iterator[Page]:
    yield from opened(browser, screen, viewport={"width": 1400, "height": 900})


@pytest.fixture
def own_page(browser: Browser, own_screen: Server) -> Iterator[Page]:
    yield from opened(browser, own_screen, viewport={"width": 1400, "height": 900})


def go(page: Page, path: str) -> None:
    page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/', 3)[2]}{path}")


def acts(server: Server) -> tuple[Triage, ...]:
    return records.read_lines(server.run / "triage.jsonl", Triage)


# -- inbox -------------------------------------------------------------------------------------------


def test_the_inbox_by_keyboard_alone(own_page: Page, own_screen: Server) -> None:
    page, keys = own_page, own_page.keyboard
    go(page, f"/run/{RUN}/inbox")
    lines = page.locator("table.inbox tbody tr")
    before = lines.count()
    chosen = page.locator("tr[aria-selected=true] .go")
    first = chosen.inner_text()
    keys.press("j")
    second = chosen.inner_text()
    assert second != first
    keys.press("k")
    assert chosen.inner_text() == first

    keys.press("e")  # acknowledge, and undo
    expect(lines).to_have_count(before - 1)
    expect(page.locator("#told")).to_contain_text("done")
    keys.press("u")
    expect(lines).to_have_count(before)

    keys.press("s")  # escalate
    expect(page.locator("tr .escalated").first).to_be_visible()
    assert any(it.escalated for it in standings(acts(own_screen)).values())

    keys.press("x")  # choose two, and confirm both
    keys.press("j")
    keys.press("x")
    keys.press("e")
    expect(page.locator("dialog[open]")).to_be_visible()
    keys.press("Enter")
    expect(lines).to_have_count(before - 2)

    keys.press(".")  # a disposition with its reason and note
    keys.type("FalseP")
    keys.press("Tab")
    keys.type("the administrator did it")
    keys.press("Tab")
    keys.type("seen every night")
    keys.press("Enter")
    expect(lines).to_have_count(before - 3)
    said = acts(own_screen)[-1]
    assert (said.disposition, said.reason, said.note) == (
        "FalsePositive", "the administrator did it", "seen every night",
    )  # fmt: skip

    keys.press("?")
    expect(page.locator("details.keys")).to_have_attribute("open", "")
    keys.press("?")
    keys.press("/")
    expect(page.locator("#search")).to_be_focused()
    keys.type("T1046")
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"q=T1046"))
    page.locator("tr[aria-selected=true]").wait_for()
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"/(alert|group)"))


def test_all_that_is_shown_is_confirmed_first(own_page: Page, own_screen: Server) -> None:
    go(own_page, f"/run/{RUN}/inbox?level=high")
    own_page.get_by_label("on every page").check()
    own_page.get_by_role("button", name="Acknowledge").click()
    dialog = own_page.locator("dialog[open]")
    said = dialog.inner_text()
    dialog.get_by_role("link", name="No", exact=True).click()
    assert acts(own_screen) == ()
    own_page.get_by_role("button", name="Acknowledge").click()
    dialog.get_by_role("button", name="Yes").click()
    expect(own_page.get_by_text("Nothing here")).to_be_visible()
    count = int(re.search(r"Yes, acknowledge (\d+)", said)[1])  # type: ignore[index]
    assert len(standings(acts(own_screen))) == count


def test_an_alert_is_decided_on_its_own_page(own_page: Page, own_screen: Server) -> None:
    go(own_page, f"/run/{RUN}/inbox?by=alert")
    own_page.locator("a.go").first.click()
    own_page.get_by_label("It was a").select_option("TruePositive")
    own_page.get_by_label("because").fill("T1110")
    own_page.get_by_role("button", name="Decide").click()
    expect(own_page.locator("form.answer")).to_contain_text("TruePositive because T1110")
    own_page.get_by_role("button", name="Undo").click()
    expect(own_page.locator("form.answer")).to_contain_text("Nothing was made of it yet")
    assert [it.act for it in acts(own_screen)] == ["dispose", "undo"]


# -- hunt --------------------------------------------------------------------------------------------


def test_a_value_is_included_excluded_alone_and_grouped_by(page: Page) -> None:
    go(page, f"/run/{RUN}/hunt")
    for choice, said in (
        ("include", "f=event.module"),
        ("exclude", "x=event.module"),
        ("group by", "group=event.module"),
    ):
        go(page, f"/run/{RUN}/hunt")
        page.locator("a.value[data-field='event.module']").first.click()
        page.get_by_role("menuitem", name=choice).click()
        expect(page).to_have_url(re.compile(re.escape(said)))
    expect(page.locator("table.values")).to_be_visible()
    go(page, f"/run/{RUN}/hunt?f=host.name%3Dbastion&q=ssh")
    page.locator("a.value[data-field='event.module']").first.click()
    page.get_by_role("menuitem", name="only this").click()
    expect(page.locator(".chips li")).to_have_count(1)


def test_the_menu_of_a_value_goes_by_keyboard(page: Page) -> None:
    go(page, f"/run/{RUN}/hunt")
    page.locator("a.value[data-field='host.name']").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="exclude")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)


def test_time_is_chosen_by_dragging_over_the_bars(page: Page) -> None:
    go(page, f"/run/{RUN}/hunt")
    svg = page.locator("figure.bars svg")
    svg.wait_for()
    box = svg.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 40, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=2026-11-25T06.*to=2026-11-25T06"))
    page.locator("figure.bars").wait_for()
    expect(page.locator("table.hunt a.open").first).to_be_visible()


def test_a_row_opens_to_its_fields_and_its_line(page: Page) -> None:
    go(page, f"/run/{RUN}/hunt?f=event.module%3Dsshd")
    page.locator("table.hunt a.open").first.click()
    unfolded = page.locator("tr.unfolded")
    expect(unfolded).to_contain_text("@timestamp")
    expect(unfolded.locator(".place")).to_contain_text(re.compile(r"bastion:/var/log/\S+:\d+"))
    page.locator("table.hunt a.open").first.click()
    expect(unfolded).to_have_count(0)


def test_an_event_is_pinned_and_stands_in_the_case(own_page: Page, own_screen: Server) -> None:
    go(own_page, f"/run/{RUN}/hunt?f=event.module%3Dsshd")
    own_page.locator("table.hunt a.open").first.click()
    own_page.locator(".fields input[name=text]").fill("here it began")
    own_page.get_by_role("button", name="Pin to the case").click()
    expect(own_page.locator(".timeline-list")).to_contain_text("here it began")
    own_page.get_by_label("What").select_option("response")
    own_page.get_by_label("Text").fill("containment: the account is locked")
    own_page.get_by_role("button", name="Add").click()
    expect(own_page.locator("ul.list")).to_contain_text("the account is locked")
    assert [it.sort for it in records.read_lines(own_screen.run / "case.jsonl", CaseEntry)] == [
        "pin",
        "response",
    ]


def test_a_question_is_saved_asked_and_answered(page: Page) -> None:
    go(page, f"/run/{RUN}/sql")
    page.get_by_role("link", name="failed-logins-by-source").click()
    expect(page.get_by_role("region", name="answer")).to_contain_text("failures")
    page.get_by_label("Question").fill("SELECT nothing FROM nowhere")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("alert")).to_contain_text("nowhere")


def test_from_a_missed_step_to_its_reason(page: Page) -> None:
    go(page, f"/run/{RUN}/why")
    expect(page.get_by_role("heading", name="Near misses")).to_be_visible(timeout=60_000)


def test_two_runs_techniques_and_history(page: Page) -> None:
    go(page, "/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("region", name="steps")).to_be_visible()
    page.get_by_role("link", name="Coverage").click()
    expect(page.locator("table.matrix .badge").first).to_be_visible()
    page.get_by_role("link", name="History").click()
    expect(page.locator("figure.trend").first).to_be_visible()


def test_answers_are_handed_in_and_graded_apart(own_page: Page) -> None:
    go(own_page, f"/run/{RUN}/inbox?by=alert")
    own_page.locator("a.go").first.click()
    own_page.get_by_label("because").fill("T1110 T1021 T1078 T1046")
    own_page.get_by_role("button", name="Decide").click()
    expect(own_page.locator("form.answer")).to_contain_text("TruePositive because")
    own_page.get_by_role("link", name="Answers").click()
    own_page.get_by_role("button", name="Hand in").click()
    expect(own_page.get_by_text("Dispositions right")).to_be_visible(timeout=30_000)
    expect(own_page.get_by_text("Reasons right, of those")).to_be_visible()


# -- live --------------------------------------------------------------------------------------------


def test_an_alert_is_visible_as_it_is_raised(browser: Browser, tmp_path: Path) -> None:
    run = bare_run(tmp_path, "20261127-000003-live", [], [an_alert(0)])
    header = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**header, "ended": None, "state": "running"}), encoding="utf-8")
    with serving(tmp_path) as server:
        for page in opened(browser, server):
            go(page, f"/run/{run.name}/live")
            lines = page.locator("#alerts li")
            expect(lines).to_have_count(1)
            with (run / "alerts.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(an_alert(1, title=f"Fresh {HOSTILE[0]}")) + "\n")
            expect(lines).to_have_count(2)
            expect(lines.first).to_contain_text("Fresh")
            expect(page.locator("#raised")).to_have_text("2")
            (run / "run.json").write_text(json.dumps(header), encoding="utf-8")
            expect(page.locator("#state")).to_have_text("done")
            assert "owned" not in page.title()


# -- everybody ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_no_page_is_wider_than_its_window_or_hard_to_use(
    browser: Browser, screen: Server, width: int, scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shots = tmp_path_factory.mktemp("shots")
    alert = json.loads((screen.run / "alerts.jsonl").read_text("utf-8").splitlines()[0])
    more = (f"alert/{alert['id']}", f"event/{alert['event_ids'][0]}", "entity?field=host.name&value=bastion")
    paths = ["/", "/coverage", "/history", "/compare", *(f"/run/{RUN}/{it}" for it in (*PAGES, *more))]
    found: dict[str, list[str]] = {}
    for page in opened(browser, screen, viewport={"width": width, "height": 844}, color_scheme=scheme):
        for number, path in enumerate(paths):
            go(page, path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=shots / f"{number}.png")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            serious = [
                f"{it['id']}: {it['nodes'][0]['html'][:200]}"
                for it in Axe().run(page).response["violations"]
                if it["impact"] in {"serious", "critical"}
            ]
            if serious:
                found[path] = serious
    assert found == {}


def test_without_scripts_everything_can_be_read(browser: Browser, screen: Server) -> None:
    for page in opened(browser, screen, java_script_enabled=False):
        go(page, f"/run/{RUN}/inbox")
        assert page.locator("table.inbox tbody tr").count() > 5
        go(page, f"/run/{RUN}/hunt")
        page.get_by_role("link", name="show events over time").click()
        assert page.locator("figure.bars rect").count() > 5
        page.locator("a.value[data-field='event.module']").first.click()
        assert "f=event.module" in page.url
        page.locator("a.open").first.click()
        assert page.locator("pre.log").count() == 1


def test_hostile_logs_run_nothing_and_break_no_page(browser: Browser, tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    root = f"/run/{run.name}"
    paths = ["/", f"{root}/inbox", f"{root}/inbox?by=alert", f"{root}/hunt?group=user.name", f"{root}/live"]
    paths += [f"{root}/alert/{number:016x}" for number in range(len(HOSTILE))]
    paths += [f"{root}/event/event-{number}" for number in range(len(HOSTILE))]
    with serving(tmp_path) as server:
        for page in opened(browser, server, viewport={"width": 1200, "height": 800}):
            page.on("dialog", lambda it: pytest.fail(f"a dialog: {it.message}"))
            for path in paths:
                go(page, path)
                page.wait_for_load_state("networkidle")
                assert page.title() != "owned", path
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            go(page, f"{root}/hunt")
            page.locator("a.value[data-field='user.name']").first.click()
            page.get_by_role("menuitem", name="include").click()
            expect(page.locator("table.hunt a.open")).to_have_count(1)
            page.locator("table.hunt a.open").click()
            expect(page.locator("tr.unfolded")).to_be_visible()
            assert page.title() != "owned"
