# Needs only python3 and make; bootstrap/ installs everything else.
PYTHON ?= python3
PORT ?= 8080
ARGS ?=
BIN := .venv/bin
# Each of many short processes would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run setup test faults fuzz attack compose-test clients-test check bench train clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

run: ## chat at http://localhost:8080 (PORT=..., ARGS="--slots 2"); Ctrl-C stops all
	@exec $(PYTHON) -m bootstrap run $(BIN)/edge up --port $(PORT) $(ARGS)

setup: ## install everything that run, test and check need
	@$(PYTHON) -m bootstrap test

# xdist would run files with few tests last, which take longest. Three at a time, because
# many tests wait for something half of their time.
test: setup ## all tests, three at a time (ARGS="tests/engine -x")
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: setup ## kill, stop and fill every part on purpose: half an hour or more (ARGS)
	$(BIN)/python -m pytest tests/faults tests/stack/test_models.py -m faults --timeout 1800 $(ARGS)

FUZZ_SECONDS ?= 60
fuzz: setup ## mutated bodies, pictures and model files, and what the OpenAPI document says (FUZZ_SECONDS=60 each)
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)
	OPENAPI_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -m "" tests/clients/test_openapi.py

ATTACK_SECONDS ?= 300
attack: setup ## all attacks at the same time: 5 minutes (ARGS)
	ATTACK_SECONDS=$(ATTACK_SECONDS) $(BIN)/python -m pytest -m slow -s --timeout 1800 tests/security/test_barrage.py $(ARGS)

compose-test: setup ## build the images and run them with a real Docker engine: 10 minutes (ARGS)
	$(BIN)/python -m tests.compose $(ARGS)

clients-test: setup ## programs that speak our APIs, each installed once: 15 minutes (ARGS)
	$(BIN)/python -m pytest tests/clients -m "" --timeout 1800 $(ARGS)

check: setup ## formatting, lint, types, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python nginx/build.py --check
	$(BIN)/python docs/generate.py --check
	@if command -v npm >/dev/null; then npm --prefix ui/page ci --silent && npm --prefix ui/page run --silent check; \
	else echo "There is no npm here: the modules of the page were not checked."; fi

bench: setup ## the concurrency curve of the tiny model: 1 to 2 minutes (ARGS)
	$(BIN)/edge bench --model tiny --requests 100 $(ARGS)

TRAIN := .venv-train/bin/python
# oneDNN compiles a kernel per shape: keep all of them.
train: export ONEDNN_PRIMITIVE_CACHE_CAPACITY = 20000
train: setup ## train the tiny model: 6 hours; continues where it was stopped
	$(PYTHON) -m venv .venv-train
	$(TRAIN) -m pip install -q -c constraints.txt -e ".[train]"
	$(TRAIN) -m training.train --out training/run/first
	$(TRAIN) -m training.export --weights training/run/first/weights.pt --out training/run/first
	$(TRAIN) -m training.train --out training/run/second --start training/run/first
	$(TRAIN) -m training.export --weights training/run/second/weights.pt --out training/run/second
	$(TRAIN) -m training.train --out training/run/third --start training/run/second --steps 2500 --seed 2
	$(TRAIN) -m training.export --weights training/run/third/weights.pt --out training/run/third
	$(TRAIN) -m training.train --out training/run/fourth --start training/run/third --steps 2600 --seed 3
	$(TRAIN) -m training.export --weights training/run/fourth/weights.pt --out training/run/fourth
	$(TRAIN) -m training.train --out training/run/fifth --start training/run/fourth --steps 1250 --size 12 --height 0.3 --seed 5
	$(TRAIN) -m training.export --weights training/run/fifth/weights.pt --start training/run/fourth --out edge/models/tiny
	$(TRAIN) -m training.parity --out tests/models/parity
	$(BIN)/python -m training.examine --out training/results

clean: ## remove .venv and caches, but not the llama.cpp build in ~/.cache/edge-vl
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
