# Two commands set everything up on a machine with Python 3.11 and a C toolchain:
#   make demo   the virtual environment, then experiments/quick.yaml and its table
#   make test   every check
# `make check` runs the quick ones of them, for each change. `make benchmark` measures speed and
# memory against peers, in about an hour and a half.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check lint lock drill benchmark setup ffmpeg chromium postgresql slurm format clean

demo: setup
	$(BIN)/bench run experiments/quick.yaml

PARALLEL := --numprocesses logical --maxprocesses 2 --dist loadfile --no-loadscope-reorder

# What pip and what apt installs is installed at the same time.
test:
	$(MAKE) --no-print-directory --jobs 2 setup slurm
	$(MAKE) --no-print-directory lint
	$(BIN)/pytest $(PARALLEL) --durations 25

check: setup lint
	$(BIN)/pytest $(PARALLEL) -m "not slow" --quiet

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The fault drill with 60 kills, half of them from a command's first millisecond on: 10 minutes.
drill: setup
	DRILL_AT_START=30 DRILL_KILLS=60 $(BIN)/pytest tests/bench/runner/test_drill.py --capture no

benchmark: setup
	$(BIN)/python tests/benchmarks/scoring.py
	$(BIN)/python tests/benchmarks/training.py
	$(BIN)/python tests/benchmarks/convolutions.py
	$(BIN)/python tests/benchmarks/store.py
	$(BIN)/python tests/benchmarks/cells.py
	$(BIN)/python tests/benchmarks/report.py
	$(BIN)/python tests/benchmarks/long_run.py
	$(BIN)/python tests/benchmarks/intervals.py
	$(BIN)/python tests/benchmarks/runner.py
	$(BIN)/python tests/benchmarks/methods.py
	$(BIN)/python tests/benchmarks/commands.py
	$(BIN)/python tests/benchmarks/hosts.py

setup: .venv/ready ffmpeg

.venv/ready: pyproject.toml constraints.txt requirements.lock
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "Python 3.11 or later is needed, this is %d.%d; name one by PYTHON=..." % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools wheel
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-build-isolation --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation torch==2.13.0 --editable '.[dev]'
	touch $@

# The lock has every package that constraints.txt pins, with the hashes of its files on all systems.
# PyTorch is left out: its builds for processors and for GPUs have one version and different files.
# What the builds for GPUs need besides is left out with it, and pinned by PyTorch itself.
ONLY_FOR_GPUS := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
	nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton

lock: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--constraint constraints.txt --generate-hashes --no-annotate --no-header --quiet \
		$(addprefix --no-emit-package ,torch $(ONLY_FOR_GPUS)) --output-file requirements.lock

# Installs packages by apt where it can; $(1) names them.
apt = command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && { apt-get update -qq && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y -qq --no-install-recommends $(1); } >/dev/null 2>&1

# Only MUSDB18's stem files need ffmpeg: where it cannot be installed, one line says so.
ffmpeg:
	@{ command -v ffmpeg && command -v ffprobe; } >/dev/null || { $(call apt,ffmpeg); } \
	|| echo "ffmpeg could not be installed here: all works but reading MUSDB18's stem files and the comparison with museval; install it by your system's package manager"

# The tests of pages need a browser, those of a team's store a PostgreSQL, those of a cluster's jobs a
# SLURM: skipped where it is not. One comes after the other, since apt works once at a time.
chromium: | ffmpeg
	@{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null \
	|| { $(call apt,chromium fonts-dejavu-core); } \
	|| echo "chromium could not be installed here: the tests that look at pages are skipped"

postgresql: | chromium
	@{ ls /usr/lib/postgresql/*/bin/initdb || command -v initdb; } >/dev/null 2>&1 \
	|| { $(call apt,postgresql); } \
	|| echo "postgresql could not be installed here: the tests of tracking on it are skipped"

slurm: | postgresql
	@{ command -v slurmctld || ls /usr/sbin/slurmctld; } >/dev/null 2>&1 \
	|| { $(call apt,slurm-wlm munge); } \
	|| echo "slurm could not be installed here: the tests of its jobs are skipped"

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv runs mlflow.db mlartifacts test-artifacts
