# Needs only python3 and make; everything else is brought by bootstrap.py.
PYTHON ?= python3
PORT ?= 8080
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run setup test faults fuzz attack check bench train clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

run: ## chat at http://localhost:8080 (PORT=..., ARGS="--slots 2"); Ctrl-C stops all
	@$(PYTHON) bootstrap.py run
	@exec $(BIN)/edge up --port $(PORT) $(ARGS)

setup: ## all that run, test and check need, without starting anything
	@$(PYTHON) bootstrap.py test

test: setup ## all tests (ARGS="tests/engine -x")
	$(BIN)/python -m pytest $(ARGS)

faults: setup ## break everything on purpose, for a quarter of an hour (ARGS)
	$(BIN)/python -m pytest tests/faults -m faults --timeout 1800 $(ARGS)

FUZZ_SECONDS ?= 60
fuzz: setup ## random bodies, pictures and model files (FUZZ_SECONDS=60 for each kind)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

ATTACK_SECONDS ?= 300
attack: setup ## five minutes of everything hostile at once (ARGS)
	ATTACK_SECONDS=$(ATTACK_SECONDS) $(BIN)/python -m pytest -m slow -s --timeout 1800 tests/security/test_barrage.py $(ARGS)

check: setup ## format, lint, types, generated files fresh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python nginx/build.py --check

bench: setup ## the concurrency curve of the tiny model, in a minute or two (ARGS)
	$(BIN)/edge bench --model tiny --requests 100 $(ARGS)

TRAIN := .venv-train/bin/python
# oneDNN compiles a kernel for each shape it meets: keep them all.
train: export ONEDNN_PRIMITIVE_CACHE_CAPACITY = 20000
train: setup ## the tiny model anew, in five hours; goes on where it was stopped
	$(PYTHON) -m venv .venv-train
	$(TRAIN) -m pip install -q -c constraints.txt -e ".[train]"
	$(TRAIN) -m training.train --out training/run/first
	$(TRAIN) -m training.export --weights training/run/first/weights.pt --out training/run/first
	$(TRAIN) -m training.train --out training/run/second --start training/run/first
	$(TRAIN) -m training.export --weights training/run/second/weights.pt --out training/run/second
	$(TRAIN) -m training.train --out training/run/third --start training/run/second --steps 2500 --seed 2
	$(TRAIN) -m training.export --weights training/run/third/weights.pt --out training/run/third
	$(TRAIN) -m training.train --out training/run/fourth --start training/run/third --steps 2600 --seed 3
	$(TRAIN) -m training.export --weights training/run/fourth/weights.pt --out edge/models/tiny
	$(TRAIN) -m training.parity --out tests/models/parity
	$(BIN)/python -m training.examine --out training/results

clean: ## remove .venv and caches; the compiled llama.cpp stays in ~/.cache/edge-vl
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
