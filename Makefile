# Two commands do it all: `make demo` records and shows real traffic, `make test` runs every test.

CARGO_TARGET_DIR ?= $(HOME)/.cache/gillnet/target
export CARGO_TARGET_DIR

.PHONY: demo test lint build ui bench bench-store accuracy fuzz

demo: ## Install what it needs, build, record a small real workload and print the dashboard's address
	scripts/demo.sh

test: ## Install what the tests need and run all of them
	scripts/test.sh

lint: ## Formatting and lints of both languages
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cd ui && npm run lint

ui: ## Build the dashboard, which the next build of the binary takes in
	cd ui && npm ci --no-audit --no-fund && npm run build

build: ui ## Build the release binary
	cargo build --release -p gillnet

bench: ## Time gillnet and its peers on the same captures in one run
	scripts/bench.sh

bench-store: ## Make a bucket of 20 GB of packets and ask it, beside tshark and DuckDB; needs some 30 GB of disk
	scripts/bench_store.sh

accuracy: ## Compare entries with tshark's, over CAPTURES (a folder)
	scripts/accuracy.sh $(CAPTURES)

fuzz: ## Fuzz every target for FUZZ_SECONDS (120) each; needs the nightly toolchain and cargo-fuzz
	scripts/fuzz.sh
