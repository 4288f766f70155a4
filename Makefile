# Set-up happens by itself: every target makes .venv from requirements.txt when it is missing or older than that file.
# With uv installed it takes seconds, with venv and pip about two minutes.
.DEFAULT_GOAL := help
.PHONY: help repro experiments own predict test check bench requirements clean
PYTHON ?= python3
JOBS ?= 1
READY := .venv/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(READY)  ## rebuild whatever changed, as dvc repro does; JOBS=2 runs independent stages side by side
	@python -m scripts.repro $(JOBS)
	@python -m scripts.summary

experiments: $(READY)  ## what the experiments changed and what came of it: dvc exp show, without what is the same in all
	dvc exp show --no-pager --only-changed --hide-queued --drop '.*/|Created|State|Executor'

own: $(READY)  ## ask about your own images: NAME=pets IMAGES=folder-or-archive, with a folder for each class
	@if [ -z "$$NAME" ] || [ -z "$$IMAGES" ]; then \
		echo "error: give the images a name, and say where they are: make own NAME=pets IMAGES=photos" >&2; exit 1; \
	fi
	@python -m scripts.own "$$NAME" "$$IMAGES" $${PIXELS:+--pixels "$$PIXELS"}

predict: $(READY)  ## ask a run about your images: RUN=fake-small IMAGES=folder-or-file, and OUT=answers.csv or .jsonl
	@if [ -z "$$RUN" ] || [ -z "$$IMAGES" ]; then \
		echo "error: name a run of params.yaml and an image or a folder: make predict RUN=fake-small IMAGES=photos" >&2; exit 1; \
	fi
	@python -m stages.predict "$$RUN" "$$IMAGES" "$${OUT:--}"

test: $(READY)  ## everything that CI runs: format, lint, types, tests, the sample pipeline
	ruff format --check .
	ruff check .
	mypy
	OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadgroup

check: $(READY)  ## the quick part of it, without the pipeline
	ruff format --check .
	ruff check .
	mypy
	OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadgroup -m "not pipeline"

bench: $(READY)  ## measure speed, as ratios in one run; DATA=folder measures on the real archives in it
	python -m scripts.bench $(DATA)

requirements: $(READY)  ## compile requirements.txt from requirements.in (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --upgrade \
		--custom-compile-command "make requirements" requirements.in -o requirements.txt

clean:  ## remove what can be made again: outputs, the cache of this checkout, .venv
	rm -rf .venv .dvc/cache .dvc/tmp .checkpoints

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@[ ! -L .venv ] || { echo "error: .venv is a link, and what it leads to would be emptied; remove the link"; exit 1; }
	@echo "setting up .venv from requirements.txt"
	@if command -v uv >/dev/null; then \
		uv venv --quiet --clear --python $(PYTHON) .venv && \
		VIRTUAL_ENV=$(CURDIR)/.venv uv pip install --quiet --compile-bytecode -r requirements.txt; \
	else \
		$(PYTHON) -m venv --clear .venv && \
		.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; \
	fi
	@touch $@
