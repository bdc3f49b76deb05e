# make demo   the story of the README: names the line of nose that put project/lib on sys.path
# make test   the tests, on all processors; make test TESTS="tests/unit -k edges" for some of them
# make sanitize   the tests of the C module, with the module built to check memory and undefined behaviour
# make cpython   CPython's own tests, as they go plainly and while data is watched; MODULES="test_dict test_list" for some
# make random PROGRAMS=5000   random programs against the oracle, other ones each time; or STATEMENTS=1000000
# make field   suites of real projects, as they go plainly and while data is watched; SUITES="click attrs" for some
# Each sets up what it needs in a virtual environment, once. PYTHON=python3.13 chooses another interpreter.

PYTHON ?= python3
VENV   ?= $(if $(filter python3,$(PYTHON)),.venv,.venvs/$(subst /,-,$(PYTHON)))
TESTS  ?=
EXTRAS ?= test
BIN    := $(abspath $(VENV))/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
BUILD  := pyproject.toml setup.py $(wildcard src/stopwhen/_core/*.[ch] src/stopwhen/_core/*/*.[ch])

# What the sanitizers of gcc and clang find in the C module ends the tests; the interpreter's own leaks are not of interest.
SANITIZED := build/sanitized/$(notdir $(VENV))
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g -UNDEBUG \
  -DSTOPWHEN_FAILING=\"$(CURDIR)/tests/native/failing.h\"
CHECKED   := LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
  ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1:log_path=$(abspath $(SANITIZED))/report \
  UBSAN_OPTIONS=print_stacktrace=1:log_path=$(abspath $(SANITIZED))/report \
  PYTHONMALLOC=malloc PYTHONPATH=$(abspath $(SANITIZED))/lib

.PHONY: demo test random cpython field sanitize bench bench-changes bench-start lint format docs-check clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@sh demo/run "$(BIN)"

test: $(VENV)/.test
	$(BIN)/python -m pytest $(or $(TESTS),-n auto --dist worksteal)

PROGRAMS   ?= $(if $(STATEMENTS),,5000)
STATEMENTS ?=
random: $(VENV)/.test
	cd tests && $(BIN)/python -m random_programs $(if $(PROGRAMS),--programs $(PROGRAMS)) $(if $(STATEMENTS),--statements $(STATEMENTS))

sanitize: $(VENV)/.test
	@$(PIP) 'setuptools>=77'
	CFLAGS='$(CFLAGS) $(SANITIZE)' $(BIN)/python setup.py -q build --build-base $(SANITIZED) --build-lib $(SANITIZED)/lib
	$(CHECKED) $(BIN)/python -c 'from stopwhen._core import __file__ as f; assert "sanitized" in f, f'
	@rm -f $(SANITIZED)/report.*
	$(CHECKED) $(BIN)/python -m pytest -p no:cacheprovider $(or $(TESTS),-n auto --dist worksteal tests/native) || { cat $(SANITIZED)/report.*; exit 1; }
	@! cat $(SANITIZED)/report.* 2>/dev/null  # of a process that a test started

MODULES ?=
cpython: $(VENV)/.test
	$(BIN)/python tests/cpython/compare.py $(MODULES)

SUITES ?=
field:
	$(PYTHON) tests/field/run.py $(SUITES)

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/table.py

bench-start: $(VENV)/.bench
	$(BIN)/python benchmarks/start.py

bench-changes: $(VENV)/.bench
	$(BIN)/python benchmarks/changes.py

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(wildcard src/stopwhen/_core/*.[ch] src/stopwhen/_core/*/*.[ch])
	$(BIN)/codespell
	$(BIN)/towncrier build --draft --version next >/dev/null
	if git rev-parse -q --verify origin/main >/dev/null; then $(BIN)/towncrier check --compare-with origin/main; fi

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(wildcard src/stopwhen/_core/*.[ch] src/stopwhen/_core/*/*.[ch])

docs-check: $(VENV)/.test
	$(BIN)/python docs/check.py

clean:
	rm -rf .venv .venvs build src/*.egg-info src/stopwhen/_core*.so

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "stopwhen needs Python 3.11 or later, and '$(PYTHON)' is not: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv module (Debian, Ubuntu: python3-venv)," \
	    "or choose another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "setting up $(VENV), once" >&2
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The stamps: each says that $(VENV) has the package as it is now, and what its target needs besides.
$(VENV)/.demo: $(VENV)/.made $(BUILD)
	@$(forget_module)
	@$(PIP) -e . pynose
	@$(call say_whether_compiled)
	@touch $@

$(VENV)/.test: $(VENV)/.made $(BUILD)
	@$(forget_module)
	@$(PIP) -e '.[$(EXTRAS)]'
	@$(call say_whether_compiled)
	@touch $@

$(VENV)/.dev: $(VENV)/.made $(BUILD)
	@$(forget_module)
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.made $(BUILD)
	@$(forget_module)
	@$(PIP) -e '.[test]'
	@$(PIP) watchpoints==0.2.5
	@touch $@

# The C module is optional: where it cannot be compiled any more, the old one must not stay.
forget_module = rm -f src/stopwhen/_core$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')

say_whether_compiled = $(BIN)/python -c 'from stopwhen._core import __file__' 2>/dev/null || \
  echo "the C module could not be built (no C compiler?): stopwhen works in pure Python, slower" >&2
