# Thin front to hatch: hatch.toml has the environments and tasks. `make help` lists what there is.
# Everything lands in this checkout (.venv, dist) and in the user's cache directory; `make clean` removes the former.

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench build clean

# hatch's own data and settings stay in the checkout; so does uv's cache where the user has no home to write to.
export HATCH_DATA_DIR := $(CURDIR)/.venv/hatch/data
export HATCH_CACHE_DIR := $(CURDIR)/.venv/hatch/cache
export HATCH_CONFIG := $(CURDIR)/.venv/hatch/config.toml
ifneq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$${HOME:?}/.cache}" 2>&1 && test -w "$${XDG_CACHE_HOME:-$$HOME/.cache}" && echo yes),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.venv/uv
endif
HATCH := .venv/bin/python -m hatch

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

demo: .venv/ready ## a model on each provider, on a real control plane, until Ctrl-C (ARGS=--once: until they run)
	@$(HATCH) run demo:run $(ARGS) || case $$? in 130|254) ;; *) exit 1 ;; esac  # Ctrl-C is how the demo ends

test: .venv/ready ## everything CI runs: lint, then all tests (ARGS are pytest's)
	@$(HATCH) run lint:all
	@$(HATCH) run core-only:run tests/core -q
	@$(HATCH) run test:prepare
	@$(HATCH) run test:run $(ARGS)

lint: .venv/ready ## ruff, mypy, import-linter
	@$(HATCH) run lint:all

format: .venv/ready ## let ruff format the code and fix what it can
	@$(HATCH) run lint:fix

bench: .venv/ready ## measure on the embedded control plane; prints figures
	@$(HATCH) run bench:run $(ARGS)

build: .venv/ready ## wheels and sdists of all distributions into dist/
	@rm -rf dist
	@$(HATCH) build --all

clean: ## remove what the other targets made in the checkout; the cached control plane stays
	rm -rf .venv dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find core dev plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: .ci/bootstrap
	@sh .ci/bootstrap
