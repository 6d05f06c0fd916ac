# One line a target: everything else is in the programs themselves.
CARGO ?= cargo
CARETRAIL = target/debug/caretrail

.PHONY: build demo down status test test-long bench-decide lint deny

build: ; @echo "Building Caretrail: some minutes the first time, for its dependencies are compiled; seconds later."; $(CARGO) build --locked -p caretrail-cli -p caretrail-contract
demo: build ; $(CARETRAIL) demo $(if $(FILE),--file "$(FILE)")
down: ; @if [ -x $(CARETRAIL) ]; then $(CARETRAIL) network down; else echo "nothing was built, so nothing runs"; fi
status: build ; $(CARETRAIL) network status
test: build ; $(CARGO) test --locked --workspace
test-long: ; CARETRAIL_ORACLE_CASES=3000000 $(CARGO) test --locked --release -p caretrail-contract --test second_engine
bench-decide: ; $(CARGO) bench --locked -p caretrail-contract --bench decide
lint: ; $(CARGO) fmt --check && $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
deny: ; $(CARGO) deny --locked check bans licenses sources
