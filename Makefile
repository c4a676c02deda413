# Two commands set everything up by themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Processes that tests start would each compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all test-long lint docs pages pictures bench bench-check clean

demo: $(INSTALLED)
	$(BIN)/probe layers --model minilm

# What protects a change while one works on it.
test: $(INSTALLED) lint
	$(BIN)/python -m pytest -m "not slow and not real and not long" -n 2 --dist loadfile

# And processes, clusters, kills, browsers, examples of the documentation, and a real model, which needs both cores.
test-all: test
	$(BIN)/python -m pytest -m "slow and not real and not long" -n 2 --dist loadfile
	$(BIN)/python -m pytest -m "real and not long"

# What both leave out, for want of minutes.
test-long: $(INSTALLED)
	$(BIN)/python -m pytest -m long

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

# The pages of commands and packages follow from the code; what is written by hand in them stays.
pages: $(INSTALLED)
	$(BIN)/python docs/pages.py

# The pictures of README and documentation, out of the results in docs/images/results.
pictures: $(INSTALLED)
	$(BIN)/python docs/pictures.py

docs: pages
	$(BIN)/mkdocs build --strict

# ONLY=top-k,cut runs some of the benchmarks. `bench` keeps their ratios for this kind of machine.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.run benchmarks/results.json $(if $(ONLY),--only $(ONLY))

# Fails where a ratio is worse than the kept one.
bench-check: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.check benchmarks/results.json $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf $(VENV) site

# Python compiles a module when it is first imported; all of them, most of which never are, take a minute.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[all,docs,dev]'
	touch $@
