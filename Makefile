# Every command of the project: `make` lists them. They work in the project's own .venv, made when first needed, and change
# nothing outside this folder. ARGS goes to the command itself: make test ARGS='tests/codecs -k json'

VENV := .venv
BIN := $(VENV)/bin
ARGS :=

# A stranger's PYTHONPATH would put other versions before ours. Without bytecode every process that a test starts would
# compile pandas and scikit-learn anew: 3 s of a processor instead of 1.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-places check sweep faults fuzz format lint types imports docs coverage lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.made-demo ## real flights, one package, four architectures, the same bits: about a minute
	@$(BIN)/fourfold demo $(ARGS)

test: $(VENV)/.made-dev ## run the tests, the code in README.md and docs/ among them
	$(BIN)/pytest -n 2 $(ARGS)

test-places: ## run the tests that need more compilers, emulators of other processors, or Node

# A target of a component installs it, or says what is missing, and runs the tests that bear its marker.
test-places: test-%: $(VENV)/.made-dev
	@$(BIN)/python scripts/components.py $*
	$(BIN)/pytest -n 2 --dist=loadgroup -m $* $(ARGS)

check: lint types imports test ## what to run before a change lands; .ci/run adds the tests of every component

# Not CI: each leaves a dated file in benchmarks/results/.

sweep: $(VENV)/.made-dev ## run in full what `make test` runs a part of: random models, every plan on every processor
	@$(BIN)/python scripts/components.py places
	$(BIN)/python scripts/recorded.py sweep $(ARGS)

faults: $(VENV)/.made-dev ## kill and crash processes at any moment; ARGS='--repeat 20' to do it more often
	$(BIN)/python scripts/recorded.py faults $(ARGS)

fuzz: $(VENV)/.made-dev ## feed hostile plans and model files, 15 minutes of each kind; ARGS='--seconds 60' for another time of each
	@$(BIN)/python scripts/components.py places
	$(BIN)/python scripts/recorded.py fuzz $(ARGS)

format: $(VENV)/.made-dev ## rewrite the files as the formatter and the safe fixes want them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.made-dev ## is everything formatted, and free of what ruff knows to be wrong?
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.made-dev ## mypy, strictly, on sources and tests
	$(BIN)/mypy

imports: $(VENV)/.made-dev ## do imports go down only, and does each library stay in its room?
	$(BIN)/lint-imports

docs: $(VENV)/.made-dev ## run the code in README.md and docs/ only
	$(BIN)/pytest tests/docs $(ARGS)

coverage: $(VENV)/.made-dev ## run the tests and show which branches none of them took
	@$(BIN)/python scripts/components.py places
	$(BIN)/pytest -n 2 -m 'places or not places' --cov --cov-report=term-missing:skip-covered $(ARGS)

lock: ## write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade for newer versions
	@python=$$(scripts/python) && "$$python" scripts/environment.py lock $(ARGS)

clean: ## remove the environment, the caches and what the demo left
	rm -rf $(VENV) build dist src/*.egg-info fourfold-demo .coverage
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests docs examples benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# What the evaluator is built from: it is compiled again when one of these changes.
EVALUATOR := setup.py $(wildcard build_backend/*.py src/fourfold/plan/evaluator/*.c src/fourfold/plan/evaluator/*.h)

# A stamp says that the environment holds what the lists of that name say; a changed list makes it anew.
$(VENV)/.made-%: requirements/build.txt requirements/compiler.txt requirements/%.txt pyproject.toml scripts/environment.py $(EVALUATOR)
	@python=$$(scripts/python) && "$$python" scripts/environment.py $*
	@touch $@
