"""A run as a page: report.html and report.md, self-contained and safe to open.

`story` gathers what is to be shown, `timeline` draws it, `page`
writes it (jinja2). Everything a log or a scenario can bring is shown harmless.
"""

from lab.report.page import write_report
from lab.report.story import SHOWN_FIELDS, Story, bar_width, make_story, shown_evidence

__all__ = ["SHOWN_FIELDS", "Story", "bar_width", "make_story", "shown_evidence", "write_report"]
