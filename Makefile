# Every target installs what it needs; on Debian, as root, packages too.

.PHONY: help demo test test-long all install deb bench core regress clean
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: ## Train on real credit data and call the model from SQL (KEEP=1 leaves the server running)
	@bash scripts/demo

test: ## Everything CI runs; STAGES="format core" runs some of it
	@bash scripts/test $(STAGES)

test-long: ## A hundred thousand hostile inputs and more, on every version: hours; SEED=1 picks others
	@bash scripts/test long-15 long-16 long-17 long-18 cancel-15 regress-16 deb-12 deb-13

all: ## Build for the server of PG_CONFIG=/path/to/pg_config
	@INSTALL=0 bash scripts/install $(PG_CONFIG)

install: ## Build and install into the server of PG_CONFIG=/path/to/pg_config
	@bash scripts/install $(PG_CONFIG)

deb: ## Build Debian packages in roots of Debian 12 (PostgreSQL 15) and 13 (17); DEBIAN=13 builds one
	@bash scripts/deb $(DEBIAN)

bench: ## Compare with PyTorch, ONNX Runtime, scikit-learn, PL/Python; ONLY="scan peers" measures some of it
	@bash scripts/bench $(ONLY)

core: ## Test the part that needs no PostgreSQL
	@bash scripts/test core

regress: ## The SQL tests on one server: PG=15, 16, 17 or 18, TESTS="one another" for some of them
	@bash tests/support/regress $(or $(PG),15) $(TESTS)

clean: ## Remove what was built; keeps downloaded servers and Python packages
	cargo clean
