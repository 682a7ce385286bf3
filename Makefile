# Everything here works from a fresh clone: the first target that needs it sets up .venv, with the C core built into
# the source tree, and later ones build the core again only when it changed. PYTHON=python3.12 make ... chooses a Python.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip -qq --disable-pip-version-check
TOOLS  := $(VENV)/tools.stamp
READY  := $(VENV)/core.stamp
CORE   := $(wildcard pvtrace/*/*.c pvtrace/*/*.h)
CODE   := pvtrace gdbstub rom tests bench
JOBS   ?= auto

.PHONY: demo test check bench traces clean
.DELETE_ON_ERROR:

demo: $(READY)
	@$(BIN)/pvtrace demo userland

test: $(READY)
	@$(BIN)/python -m pytest -q -n $(JOBS)

check: $(READY)
	@echo "ruff format"  && $(BIN)/ruff format --quiet --check .
	@echo "ruff check"   && $(BIN)/ruff check --quiet .
	@echo "mypy"         && $(BIN)/mypy --no-error-summary $(CODE)
	@echo "lint-imports" && $(BIN)/lint-imports > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

bench: $(READY)
	@$(PIP) install -e '.[bench]' --no-build-isolation
	@$(BIN)/python bench/run.py --plot docs/growth.svg $(BENCH)

# The golden recordings, one for each demo guest, with the list of their events as text beside them.
traces: $(patsubst pvtrace/demo/%.elf,trace-%,$(wildcard pvtrace/demo/*.elf))

# The same files each time: no date, and what is typed is there from the first step on.
INPUT_echo := one\ntwo\nquit\n

trace-%: pvtrace/demo/%.elf $(READY)
	@echo "traces/$*.pvt" && mkdir -p traces
	@printf '$(INPUT_$*)' > $(VENV)/typed-$*
	@SOURCE_DATE_EPOCH=0 $(BIN)/pvtrace -q record $< -o traces/$*.pvt --force < $(VENV)/typed-$* > /dev/null
	@$(BIN)/pvtrace events traces/$*.pvt > traces/$*.events.txt

clean:
	@rm -rf $(VENV) build *.egg-info pvtrace/*/_*.so

$(TOOLS): pyproject.toml
	@echo "setting up $(VENV) (once; a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -e '.[dev]'
	@touch $@

$(READY): $(TOOLS) $(CORE)
	@echo "building the C core"
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
