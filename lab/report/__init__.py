"""A run as a page: report.html and report.md, self-contained and safe to open.

`story` gathers what is to be shown, `timeline` draws it, `page` writes it; `paper` is what every page of
ours is written on. Everything a log or a scenario can bring is shown harmless.
"""
