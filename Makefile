# The project's doors. Each makes the environment that it needs; none needs a key, a GPU, an account or a model hub.
PYTHON ?= python3
VENV ?= .venv
TRIALS ?= 8
HYDRA_NEXT ?= 1.4.0rc3
WANDB_LOWEST ?= 0.28.2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
FOLDERS := neuropt_core hydra_plugins tests examples benchmarks docs

# Without byte code every process of a sweep compiles torch's sources again.
unexport PYTHONDONTWRITEBYTECODE
# Threads that wait must sleep: where anything else runs on the machine, spinning ones made a trial ten times slower.
export OMP_WAIT_POLICY ?= PASSIVE

SLURM := /var/tmp/neuropt-slurm

.PHONY: demo test test-next test-slurm docs dist lint format clean

demo: $(VENV)/.demo  ## fine-tune a real network on real images: the main job, in a few minutes on two cores
	$(BIN)/python examples/finetune/train.py --multirun hydra/sweeper=neuropt hydra.sweeper.n_trials=$(TRIALS)

test: $(VENV)/.dev  ## everything, slow tests included, but for those of a cluster, which do not run side by side
	tests/browser/up.sh
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slurm"

test-next: $(VENV)-next/.dev  ## on the next Hydra, which the old launcher plugins already pull in, and the oldest wandb
	$(VENV)-next/bin/python -m pytest -n 2 --dist worksteal -q tests/porch tests/end_to_end tests/matrix \
		tests/core/sinks/test_wandb*.py tests/core/logged tests/core/runtime/test_wandb_hook.py \
		$(addprefix --ignore=tests/end_to_end/test_,$(addsuffix .py,$(NEITHER)))

# Sweeps whose proof depends on neither Hydra nor wandb.
NEITHER := endurance llm_replay logged_curves report_command report_sweep trackers_sweep

# The cluster goes down again whatever came of the tests.
test-slurm: $(VENV)/.dev  ## sweeps on a real SLURM of virtual nodes on this machine; needs root on Debian
	@trap 'tests/slurm/down.sh' EXIT; trap 'exit 130' INT TERM; \
	tests/slurm/up.sh && NEUROPT_SLURM=$${NEUROPT_SLURM:-$(SLURM)} $(BIN)/python -m pytest -q -m slurm tests/slurm

# Not --quiet, which keeps warnings from being counted. What is switched off is a word on the future of mkdocs itself.
docs: $(VENV)/.dev  ## the documentation as a site in site/; a broken link, anchor or navigation is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --clean
	@echo "site/index.html"

lint: $(VENV)/.dev
	$(BIN)/ruff format --check $(FOLDERS)
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/mypy

dist: $(VENV)/.dev  ## the release's archives in dist/, and the proof that they install and sweep in an empty environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python tests/release/check.py dist

format: $(VENV)/.dev
	$(BIN)/ruff format $(FOLDERS)
	$(BIN)/ruff check --fix $(FOLDERS)

clean:
	rm -rf $(VENV) $(VENV)-next site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)-next/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-next
	$(VENV)-next/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
		hydra-core==$(HYDRA_NEXT) wandb==$(WANDB_LOWEST) $$(grep ^torch constraints.txt)
	touch $@
