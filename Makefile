# Each target sets up .venv by itself and is quick when nothing has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
WORKERS := --numprocesses=auto --maxprocesses=8 --dist=worksteal

.PHONY: demo test machines narrowest oldest nightly shipped browser lint format benchmark docs clean

demo: $(STAMP)
	$(BIN)/biggan demo

# One process a core, one thread each: threads of two processes would wait for each other.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS)

nightly: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(WORKERS) -m "nightly or not nightly"

# What people are given: the site, what the pages and notebooks tell them to type, sdist, and the wheel, which is
# installed with all that it needs (another 7 GB for as long as that takes). Fails without npm.
shipped: $(STAMP) docs
	npm install --silent --no-save --prefix build/npm onnxruntime-web@1.30.0
	OMP_NUM_THREADS=1 BIGGAN_CLEAN=yes BIGGAN_ONNXRUNTIME_WEB=$(CURDIR)/build/npm/node_modules/onnxruntime-web \
		$(BIN)/python -m pytest $(WORKERS) -m "nightly or not nightly" tests/test_code_blocks.py \
		tests/test_notebooks.py tests/test_packaging.py

# The pages as people meet them; fails without npm, and Chromium or what BIGGAN_CHROMIUM names.
browser: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[browser]"
	npm install --silent --no-save --prefix build/npm onnxruntime-web@1.30.0
	OMP_NUM_THREADS=1 BIGGAN_BROWSER=required BIGGAN_ONNXRUNTIME_WEB=build/npm/node_modules/onnxruntime-web \
		$(BIN)/python -m pytest -m nightly \
		tests/rooms/exporting/test_page_browser.py tests/rooms/report/test_page_browser.py tests/rooms/web/test_browser.py

# The whole suite on every kind of machine that this CPU can play: hours, for the night.
machines: $(STAMP)
	$(BIN)/python -m tests.machines

# What depends on the instruction set, on the narrowest; `make test` has run it on all that there is.
narrowest: $(STAMP)
	$(BIN)/python -m tests.machines --narrowest $(WORKERS) -m "machine and not nightly"

# The least PyTorch that is supported, in an environment of its own: layers, losses with their second derivatives where a
# fused kernel is forced, augmentation, and the step.
oldest: .venv-oldest/installed
	OMP_NUM_THREADS=1 .venv-oldest/bin/python -m pytest $(WORKERS) tests/rooms/layers tests/rooms/losses \
		tests/rooms/augmentation tests/rooms/training/test_step.py tests/rooms/training/test_exact.py tests/test_parity.py

.venv-oldest/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-oldest
	grep -v "^torch\(vision\)\?==" constraints.txt > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt torch==2.8.* torchvision==0.23.* \
		--editable ".[dev]"
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(STAMP)
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/metrics.py

# The documentation as a site, in build/site; links are checked. It has a small environment of its own.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict

.venv-docs/installed: constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --constraint constraints.txt mkdocs-material
	touch $@

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]" || { df -h . "$${TMPDIR:-/tmp}"; \
		echo "not installed; it takes 7 GB here, and 3 more in $${TMPDIR:-/tmp} while it unpacks"; exit 1; }
	touch $(STAMP)

clean:
	rm -rf $(VENV) .venv-docs .venv-oldest build dist .mypy_cache .ruff_cache .pytest_cache
