# Everything a newcomer or a maintainer types. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What every start imports is compiled once; to compile all that is installed takes twenty seconds.
STARTED := import sysconfig; print(*(sysconfig.get_path("purelib") + "/" + it for it in \
	("click", "typer", "msgspec", "duckdb", "yaml")))

# Where $(PYTHON) has a pip that can serve another environment, no pip is put into ours: that takes 3 s.
SERVES := $(PYTHON) -m pip --python $$(command -v $(PYTHON)) --version >/dev/null 2>&1
PIP = $$([ -x $(BIN)/pip ] && echo $(BIN)/pip || echo $(PYTHON) -m pip --python $(BIN)/python) install \
	--quiet --disable-pip-version-check --constraint constraints.txt

# The tests of pages need a browser. Where none is, and none can be installed, they fail and say so.
BROWSER := command -v chromium chromium-browser google-chrome >/dev/null

.DEFAULT_GOAL := help
.PHONY: help demo test check clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.installed ## set everything up, run the whole job, show the report, remove the lab
	$(BIN)/lab demo

test: $(VENV)/.developer ## set everything up and run all tests, those with a real engine included
	-$(BIN)/lab doctor --fix --yes
	@$(BROWSER) || { echo "installing chromium, for the tests of lab serve"; \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || $(BROWSER)
	$(BIN)/pytest -n 2 --dist loadfile -m "not docker"
	$(BIN)/pytest -n 2 --dist loadfile -m docker

check: $(VENV)/.developer ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove the virtual environment and caches; labs are removed by `lab down --all`
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist

$(VENV)/.created:
	$(PYTHON) -m venv $$($(SERVES) && echo --without-pip) $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing homerange into $(VENV); this takes about twenty seconds"
	@$(PIP) --no-compile --editable .
	@$(BIN)/python -m compileall -q lab $$($(BIN)/python -c '$(STARTED)')
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	@$(PIP) --editable '.[dev]'
	@touch $@
