# mmse: `make` alone prints this help.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
AIRFLOW_PYTHON ?= $(PYTHON)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow failures soak lint format package airflow-env object-store clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.installed ## virtual environment with the pinned packages; Java 17 where it is missing

.venv/.installed: setup.py scripts/ensure_java.sh scripts/check_python.py
	@bash scripts/ensure_java.sh
	@$(PYTHON) scripts/check_python.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned packages (about 2 GB, a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

demo: setup ## the whole pipeline on generated data, a summary and a report
	@$(BIN)/mmse demo

test: setup ## the tests that need no cluster and less than a minute each
	@$(BIN)/python -m pytest

test-slow: setup ## standalone cluster, killed jobs, two ranks; with `make airflow-env`, real nights
	@$(BIN)/python -m pytest -m slow

failures: setup ## rows of docs/RELIABILITY.md, repeated: make failures ROW=1 REPEAT=10
	@$(BIN)/python -m tests.failures.repeat $(if $(ROW),--row $(ROW)) --repeat $(or $(REPEAT),1)

soak: setup ## thirty nights in one process, watched for what grows
	@$(BIN)/python -m tests.failures.soak

lint: setup ## style, without changing anything
	@$(BIN)/ruff check .

format: setup ## mend what style can mend by itself
	@$(BIN)/ruff check --fix .

package: setup ## build/mmse.zip for spark-submit --py-files
	@$(BIN)/python scripts/package.py build/mmse.zip

airflow-env: .venv-airflow/.installed ## an environment of its own for Airflow

.venv-airflow/.installed: airflow_dags/requirements.txt
	@$(AIRFLOW_PYTHON) -m venv .venv-airflow
	@.venv-airflow/bin/python -m pip install --quiet --disable-pip-version-check -r airflow_dags/requirements.txt
	@touch $@

object-store: ## Ceph's RADOS gateway from Debian's packages, for the tests of a log in an object store
	@bash scripts/ensure_ceph.sh

clean: ## remove generated data and environments
	@rm -rf build .venv .venv-airflow .pytest_cache .hypothesis .ruff_cache
