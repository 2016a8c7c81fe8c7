# Each target calls one command or a short list of them; the work is in Python.
#   make demo DATA=<folder>   on your own data (MovieLens layouts, or the files that README.md describes)

SHELL := /bin/bash
PYTHON ?= python3
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test chaos check lint up down status bench freeze

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: ## Install all that the other targets need (they call it; a second run takes no time)
	@$(PYTHON) infra/setup.py

demo: setup ## Play histories in, a personalised page out, changed live; DATA=<folder> for your own data
	@$(RUN) -m infra.demo $(if $(DATA),--data "$(DATA)")

test: setup lint ## Everything: linters, types, import contracts, all tests, two files at a time
	@$(RUN) -m pytest -n 2 --dist loadfile

check: setup lint ## The part of `test` that needs no JVM and no server: about a minute
	@$(RUN) -m pytest -m fast

chaos: setup ## Kill, stop and cut off everything at 200 seeded moments: nothing lost, nothing doubled (half an hour)
	@$(RUN) -m tests.chaos --runs 200 --journal build/chaos.jsonl
	@$(RUN) -m tests.chaos --guards

lint: setup
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

up: setup ## Start a local Kafka and Redis, and leave them running
	@$(RUN) -m infra.local up

down: ## Stop them; their data stays
	@$(RUN) -m infra.local down

status: ## Ask them whether they serve
	@$(RUN) -m infra.local status

bench: setup ## Measure what README.md claims
	@$(RUN) -m infra.bench

freeze: setup ## Pin the packages that .venv has now in constraints.txt
	@$(PYTHON) infra/setup.py --freeze
