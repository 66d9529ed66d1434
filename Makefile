# Two commands: `make run` starts a whole desk, `make test` proves it. Both set up what they need by themselves.
PYTHON ?= python3
ARGS ?=
BOOTSTRAP = $(PYTHON) tools/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run facturx test soak lint format catalogs lock python

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' Makefile

run: python ## start everything with demo data and print its address (Ctrl-C stops it)
	@$(BOOTSTRAP) run $(ARGS)

facturx: python ## add what makes invoices as Factur-X; the desk has it after its next start
	@$(BOOTSTRAP) facturx

test: python ## run every check and test that this machine can run (ARGS="-k word" chooses)
	@$(BOOTSTRAP) test $(ARGS)

soak: python ## run the larger samples of sizes, bytes and odd days (minutes to hours)
	@$(BOOTSTRAP) test -m soak $(ARGS)

lint: python ## run the checks only: style, types, floors, templates
	@$(BOOTSTRAP) test tests/test_quality.py $(ARGS)

format: python ## put the code into shape
	@$(BOOTSTRAP) shell ruff check --fix-only --quiet .
	@$(BOOTSTRAP) shell ruff format .

catalogs: python ## bring the translations in line with the sources, and list what is to be translated
	@$(BOOTSTRAP) shell python tools/catalogs.py

lock: python ## write the lock files anew after pyproject.toml changed (ARGS=--upgrade takes newer versions)
	@$(BOOTSTRAP) shell python tools/lock.py $(ARGS)

python:
	@command -v $(PYTHON) >/dev/null || { echo "waybill: Python 3.11 or newer is needed and $(PYTHON) was not found" >&2; exit 1; }
