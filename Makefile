# Each target is a line or two that could be typed instead.
.PHONY: help run test lint bench clean

help: ## say what there is
	@grep -E '^[a-z]+:.* ## ' Makefile | sed 's/:.* ## /\t/'

run: ## build the release binary and serve; ARGS='--listen 127.0.0.1:9000' goes to it
	scripts/setup.sh build
	cargo run --release --bin tollgate -- $(ARGS)

test: ## run every test
	scripts/setup.sh test
	scripts/test.sh

lint: ## check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

bench: ## measure beside a bare Pingora, see tests/bench/README.md; ARGS=--quick for a quick look
	scripts/setup.sh build
	cargo build --release -p tollgate -p tollgate-bench
	$${CARGO_TARGET_DIR:-target}/release/bench $(ARGS)

clean: ## remove what was built; usage and keys in ./data stay
	cargo clean
	rm -rf tests/sdk/.venv tests/sdk/js/node_modules
