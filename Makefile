# Each target sets up .venv first; that takes seconds when nothing changed.
# PYTHON=/path/to/python3 and PIP_ARGS="..." are passed to the set-up.
export PYTHON PIP_ARGS
GQA := .venv/bin/gqa
# Tests run in as many processes as this, a file in one of them; 0 is this one, for a debugger.
# Torch's threads that wait for another must leave it a core: they are more than there are cores.
WORKERS := 2
PYTEST := OMP_WAIT_POLICY=passive .venv/bin/python -m pytest -n $(WORKERS) --dist loadfile \
	--no-loadscope-reorder

.PHONY: help lab test test-all demo bench build site course site-tools tests lint style types
.PHONY: generated checks

help:
	@echo "make lab       open the course in JupyterLab"
	@echo "make test      lint, build check and the test suite"
	@echo "make test-all  the same with the slow tests"
	@echo "make demo      a learner's round and two benchmarks in the terminal"
	@echo "make bench     the benchmark notebooks at their defaults"
	@echo "make site      the course as a static site, run, in build/site/html"
	@echo "make build     make notebooks/ from solutions/"

course:
	@scripts/setup.sh course

site-tools:
	@scripts/setup.sh site

tests:
	@scripts/setup.sh test

lab: course
	@$(GQA) lab

demo: course
	@$(GQA) demo

bench: course
	@$(GQA) bench

build: course
	@$(GQA) build

site: site-tools
	@.venv/bin/python -m grading.site

style: tests
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-logo

types: tests
	@.venv/bin/mypy

lint: style types

generated: tests
	@$(GQA) build --check

checks: # side by side
	@$(MAKE) --no-print-directory -j 2 style generated

# mypy takes one core for a minute or two, so it runs beside the tests and is heard after them.
define with_types
@mkdir -p build; $(MAKE) --no-print-directory types >build/types.log 2>&1 & \
	$(PYTEST) $(1); tests=$$?; wait $$!; types=$$?; cat build/types.log; \
	exit $$((tests || types))
endef

test: checks
	$(call with_types,-m "not slow")

test-all: checks
	$(call with_types)
