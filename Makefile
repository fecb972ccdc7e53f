# Two commands do everything on a fresh machine: `make demo` and `make test`.
# `make pictures` makes those of the dashboard in docs/ anew, from a run that is there.
# `make test-all` runs the slow tests too, all of them in random order.
# `make docs` builds the site in build/site; `make notebooks` runs its notebooks again, in place.
# `make test-oldest` runs the suite with the oldest versions that are supported (Python 3.11).
PYTHON ?= python3
VENV ?= .venv
OLDEST ?= build/oldest
BIN := $(VENV)/bin
RUN ?= runs/demo
WORKERS ?= 2

.PHONY: demo test test-all test-oldest lint docs notebooks pictures clean

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
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -c docs . build/site

notebooks: $(VENV)/.installed-test
	$(BIN)/python docs/site/run_notebooks.py

# Without diffusers, transformers and onnxruntime, whose oldest versions that work need newer ones of others.
# Newer versions of pyparsing and numcodecs deprecate what the oldest matplotlib and zarr call.
test-oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --constraint oldest.txt --editable '.[test-oldest]' \
	    'pyparsing<3.3' 'numcodecs<0.16.4'
	$(OLDEST)/bin/pytest -n $(WORKERS) --dist loadfile -m "not slow" \
	    --ignore tests/generators/test_diffusers_decoders.py --ignore tests/generators/test_diffusers_unets.py \
	    --ignore tests/generators/test_onnx_programs.py --ignore tests/segmenters/test_hub.py \
	    --ignore tests/segmenters/test_other_libraries.py

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
