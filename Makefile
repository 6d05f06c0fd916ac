# One line a target: everything else is in the programs themselves.
CARGO ?= cargo
CARETRAIL = target/debug/caretrail
FUZZ_SECONDS ?= 60

.PHONY: build demo down status test test-long test-lts test-pkcs11 test-pkcs11-fabric test-node test-systemd test-hosts lint deny fuzz bench-decide bench-testpeer bench-shim bench-client bench-contract bench-network

build: ; @echo "Building Caretrail: some minutes the first time, for its dependencies are compiled; seconds later."; $(CARGO) build --locked -p caretrail-cli -p caretrail-contract
demo: build ; $(CARETRAIL) demo $(if $(FILE),--file "$(FILE)")
down: ; @if [ -x $(CARETRAIL) ]; then $(CARETRAIL) network down; else echo "nothing was built, so nothing runs"; fi
status: build ; $(CARETRAIL) network status
test: build ; $(CARGO) test --locked --workspace
test-long: ; CARETRAIL_ORACLE_CASES=3000000 $(CARGO) test --locked --release -p caretrail-contract --test second_engine && CARETRAIL_HISTORIES=400 $(CARGO) test --locked -p caretrail-contract --test contract histories && $(CARGO) test --locked -p hlf-network --test a_chaincode_on_the_channel -- an_organization_that_left an_apply_is_killed certificates_of_bft parts_of_bft a_rolling_renewal authorities_ upgraded_under_load a_bft_node_that_lost full_disks && $(CARGO) test --locked -p caretrail-tests --test the_operations_page -- long_ && FAULTS=30 $(CARGO) test --locked -p caretrail-tests --test fault_runs --test faults_on_real_peers && HLF_NETWORK_ORDERERS=bft:4 $(CARGO) test --locked -p caretrail-tests --test client_on_real_fabric
test-lts: ; HLF_NETWORK_FABRIC=2.5.9 HLF_NETWORK_ORDERERS=raft:3 $(CARGO) test --locked -p caretrail-tests --test client_on_real_fabric --test fault_runs
test-pkcs11: ; $(CARGO) test --locked -p hlf-gateway --features pkcs11 --test keys_in_softhsm
test-node: ; $(CARGO) test --locked -p caretrail-tests --features node --test stock_clients
test-systemd: ; $(CARGO) test --locked -p hlf-network --test a_chaincode_on_the_channel systemd_takes
test-hosts: ; $(CARGO) test --locked -p hlf-network --test a_chaincode_on_the_channel hosts_lose
test-pkcs11-fabric: ; $(CARGO) test --locked -p caretrail-tests --features pkcs11 --test client_on_real_fabric keys_in_a_token
bench-decide: ; $(CARGO) bench --locked -p caretrail-contract --bench decide
lint: ; $(CARGO) fmt --check && $(CARGO) clippy --locked --workspace --all-targets -- -D warnings && $(CARGO) clippy --locked -p hlf-gateway --features pkcs11 --all-targets -- -D warnings
deny: ; $(CARGO) deny --locked check bans licenses sources
fuzz: ; @for target in $$($(CARGO) +nightly fuzz list); do mkdir -p fuzz/corpus/$$target && $(CARGO) +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 || exit 1; done
bench-testpeer: ; $(CARGO) run --release --locked -p hlf-chaincode --example transactions_a_second
bench-shim: ; $(CARGO) bench --locked -p caretrail-tests --bench shim -- $(if $(QUICK),--quick)
bench-client: ; $(CARGO) bench --locked -p caretrail-tests --bench client -- $(if $(QUICK),--quick)
bench-contract: ; $(CARGO) bench --locked -p caretrail-tests --bench contract -- $(if $(QUICK),--quick)
bench-network: ; $(CARGO) bench --locked -p caretrail-tests --bench network --profile dev -- $(if $(QUICK),--quick)
