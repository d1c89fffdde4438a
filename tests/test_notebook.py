"""The notebooks that ship work, on what ships and on data of their form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lab.ask.query import query
from lab.files.workplace import CARRIED
from tests.learn import data

RECORDING: Final = CARRIED / "recordings" / "ssh-brute-force"


def executed(notebook: str, folder: Path) -> dict[str, Any]:
    """Run every cell of a notebook, in order, in a folder; return what it made."""
    found: dict[str, Any] = {}
    path = CARRIED / "docs" / notebook
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), notebook, "exec"), found)  # noqa: S102  # ours
    return found


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """Run the notebook of logs where it says that it is started."""
    return executed("logs.ipynb", CARRIED)


def test_it_finds_what_the_same_question_in_sql_finds(run: dict[str, Any]) -> None:
    sql = (
        'SELECT "source.ip", count(*) FROM events WHERE "event.action" = \'ssh_login\''
        " AND \"event.outcome\" = 'failure' GROUP BY 1 ORDER BY 2 DESC"
    )
    asked: dict[Any, Any] = dict(query(RECORDING, sql).rows)  # type: ignore[arg-type]  # pairs
    assert asked == run["failures"]["failures"].to_dict()
    assert len(run["events"]) == query(RECORDING, "SELECT count(*) FROM events").rows[0][0]


def test_each_of_its_questions_has_an_answer(run: dict[str, Any]) -> None:
    assert len(run["guessed"]) >= 1
    assert len(run["rare"]) > 5
    assert run["per_minute"].sum() == len(run["events"])


def test_the_notebook_of_illusions_shows_them_on_any_file_of_that_form(tmp_path: Path) -> None:
    data.nsl_kdd(tmp_path / "KDDTrain+.txt", 1)
    found = executed("illusion.ipynb", tmp_path)
    assert found["random_split"] > 0.95
    assert set(found["recall"].index) == set(data.TYPES)
    assert found["best"] in found["cuts"]


def test_the_notebook_from_a_run_to_a_model_finds_the_flood(tmp_path: Path) -> None:
    for it in (1, 2, 3):
        data.run(tmp_path / "runs" / f"d{it}-quiet-day", data.visits(it))
    step = data.step("2-flood", "10.0.0.1", 300, 309)
    data.run(tmp_path / "runs" / "f-flood", data.flooded(4), [step])
    found = executed("run-to-model.ipynb", tmp_path)
    assert "has an attack in it" in found["said"]
    scored = found["scored"]
    assert scored[scored["alert"]]["during"].tolist() == ["2-flood"]


@pytest.mark.parametrize("name", ["illusion.ipynb", "run-to-model.ipynb"])
def test_a_notebook_is_kept_with_what_it_printed(name: str) -> None:
    cells = json.loads((CARRIED / "docs" / name).read_text("utf-8"))["cells"]
    code = [it for it in cells if it["cell_type"] == "code"]
    assert [it["execution_count"] for it in code] == list(range(1, len(code) + 1))
    assert all(it["outputs"] for it in code)
