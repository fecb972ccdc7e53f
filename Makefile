# Two commands do everything on a fresh machine: `make demo` and `make test`.
# `make pictures` makes those of the dashboard in docs/ anew, from a run that is there.
# `make test-all` runs the slow tests too, all of them in random order.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
WORKERS ?= 2

.PHONY: demo test test-all lint docs pictures clean

demo: $(VENV)/.installed
	$(BIN)/dissect demo --out $(RUN)

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-all: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -p randomly

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/basedpyright --pythonpath $(BIN)/python --project pyrightconfig.strict.json

docs: $(VENV)/.installed-test
	$(BIN)/pip install --quiet --editable '.[docs]'
	$(BIN)/pdoc --output-directory build/api dissect segmenters reports

pictures: $(VENV)/.installed-test
	$(BIN)/python docs/pictures.py $(RUN)

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed
