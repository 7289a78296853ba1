# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NOX := .venv/bin/nox --no-verbose
PARALLEL := $(MAKE) -j2 --keep-going --output-sync=target

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: .venv/ready ## a real holder on a free port: who has it, free it, and again
	@$(NOX) -s demo

.PHONY: report-demo
report-demo: .venv/ready ## sample reports in build/report; of your hosts too: make report-demo INVENTORY=hosts
	@$(NOX) -s report-demo -- $(INVENTORY)

.PHONY: report-screenshot
report-screenshot: .venv/ready ## make the picture of the report in the README anew
	@HARBORMASTER_SCREENSHOT=docs/images/fleet-report.png $(NOX) -s report -- tests/report/test_readme.py

.PHONY: test-fast
test-fast: .venv/ready ## formatting, lint, types and unit tests: the inner loop
	@$(NOX) -s style units-3.13

.PHONY: test
test: .venv/ready ## everything that has to pass before a change goes in
	@rm -rf .cache/junit
	@$(MAKE) -j2 --keep-going test-on-hosts test-here

# The lab mostly waits (for boots, stops and settled ports), so it runs beside all else from the first minute on. What comes
# after it makes both lanes about as long.
.PHONY: test-on-hosts
test-on-hosts: .venv/ready
	@$(NOX) -s lab report fleet-2.16 fleet-2.21

.PHONY: test-here
test-here: .venv/ready
	@status=0; \
	$(PARALLEL) nox-units-3.8 nox-style nox-sanity-2.16 nox-sanity-2.21 nox-units-3.13 nox-lint nox-ansible-lint \
		nox-docs-check nox-build-import-check nox-license-check nox-extra-checks nox-changelog || status=1; \
	$(NOX) -s target-2.16 target-2.21 integration attacks windows || status=1; \
	exit $$status

.PHONY: windows-test
windows-test: .venv/ready ## the Windows half of the collection, under Wine; needs root on Debian
	@$(NOX) -s windows

.PHONY: test-matrix
test-matrix: test ## the same, and sanity and integration with every ansible-core from 2.16 on
	@HARBORMASTER_MATRIX=1 $(PARALLEL) nox-units-3.8 nox-sanity-2.21 nox-sanity-2.16 nox-sanity-2.17 nox-sanity-2.18 nox-sanity-2.19 nox-sanity-2.20
	@HARBORMASTER_MATRIX=1 $(NOX) -s target-2.17 target-2.18 target-2.19 target-2.20 integration windows \
		fleet-2.16 fleet-2.17 fleet-2.18 fleet-2.19 fleet-2.20

.PHONY: lab
lab: ## bring up the lab: systemd hosts with sshd and engines, reached over ssh (root)
	@scripts/lab/lab up

.PHONY: lab-down
lab-down: ## take the lab down, and all that it left
	@scripts/lab/lab down

.PHONY: lab-test
lab-test: .venv/ready ## services, sockets, port 53, containers and supervisors, for real, in the lab
	@$(NOX) -s lab

.PHONY: bench
bench: .venv/ready ## our lookup beside ss, lsof, fuser, netstat and psutil, in pairs
	@$(NOX) -s bench

.PHONY: fix
fix: .venv/ready ## format the code and repair what can be repaired
	@$(NOX) -s style -- fix

.PHONY: list
list: .venv/ready ## all checks by name; run one with: make nox-NAME
	@$(NOX) --list

.PHONY: clean
clean: ## remove the environments and caches of this checkout
	[ ! -e .cache/lab ] || scripts/lab/lab down
	rm -rf .venv .nox .cache .hypothesis .mypy_cache .ruff_cache .pytest_cache build tests/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

nox-%: .venv/ready
	@$(NOX) -s $*

# The environment that runs all others. It is made anew when its requirements change, and whole or not at all.
.venv/ready: tests/requirements/nox.txt scripts/find-python
	@echo "Setting up .venv"
	@rm -rf .venv
	@python=$$(scripts/find-python 3.11 3.12 3.13 3.10) && "$$python" -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements/nox.txt
	@touch $@
