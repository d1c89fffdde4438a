"""What import-linter cannot say: modules stay short enough to read in one sitting."""

from __future__ import annotations

from pathlib import Path

import lab


def test_every_module_is_short_enough_to_read() -> None:
    paths = Path(lab.__file__).parent.rglob("*.py")
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: length for name, length in lengths.items() if length > 600} == {}
