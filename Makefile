# azure_ad_auth: Azure AD (Microsoft Entra ID) token login for PostgreSQL
#
#   make demo                     a scratch server and a local identity provider show the whole story
#   make demo PAM=1               the same by PAM, where PostgreSQL has it
#   make demo KEEP=1              both stay until Ctrl-C
#   make quick                    the tests of the pure crates: seconds, without a server
#   make test                     every test, on the PostgreSQL found
#   make test PG_CONFIGS="…"      on several: the paths of their pg_config programs
#   make test ONLY=name           the login tests whose names contain this
#   make install PG_CONFIG=…      builds the library for one server and installs it there
#   make bench                    what a login costs, on the PostgreSQL found
#   make bench AGAINST=…          what it costs more than with another build: the pg_config of a PostgreSQL that has it installed
#   make cluster-test             three nodes under Patroni: switchover, failover, restarts; logins by token beside SCRAM
#   make check                    formatting, lints, licences, documentation; PG_CONFIGS as above
#   make clients                  logs in by the drivers people use, and writes their tables
#   make core-tests PG_CONFIG=…   PostgreSQL's own tests with the installed library preloaded; for Debian's servers
#   make fuzz SECONDS=60          every parser of foreign input, for so long each
#   make protocol-fuzz            messages that no client sends, to a running server; CONNECTIONS=… and SEED=… to choose which
#   make soak MINUTES=15          everything at the same time on a running server, and whether its processes grow
#   make package PG_CONFIGS="…"   .deb, .rpm, .tar.gz and image for the versions of these servers, in target/package
#   make package-test             what of them users get: installed in a clean Debian, upgraded, removed; PG_CONFIGS as above
#   make release                  the packages of a release, for all versions, once everything says the same version
#
# demo, test, bench, cluster-test, check, clients and package install what they lack: packages (as root, or by sudo), cargo-pgrx.

PG_CONFIG ?= $(shell tools/find-postgres)
PG_CONFIGS ?= $(PG_CONFIG)
SECONDS ?= 60
MINUTES ?= 15
CONNECTIONS ?= 2000
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: demo quick test bench cluster-test install check clients core-tests fuzz protocol-fuzz soak package package-test release
.PHONY: setup clean

setup:
	tools/setup $(PG_CONFIGS)

demo: setup
	tools/install debug "$(PG_CONFIG)"
	PG_CONFIG="$(PG_CONFIG)" cargo run --quiet --package azure_ad_auth_tests --bin demo -- $(if $(KEEP),--keep) $(if $(PAM),--pam)

quick:
	cargo test --package entra --package hba --package linkage

test: export FOR_TESTS = 1
test: setup
	$(if $(ONLY),,cargo test --package entra --package hba --package linkage)
	$(if $(ONLY),,cargo test --package azure_ad_auth_tests --lib --test provider)
	ONLY="$(ONLY)" tools/test $(PG_CONFIGS)

bench: setup
	tools/bench "$(PG_CONFIG)" "$(AGAINST)"

cluster-test: setup
	tools/install debug "$(PG_CONFIG)"
	tools/cluster-test "$(PG_CONFIG)"

install:
	tools/install release "$(PG_CONFIG)"

check: export FOR_CHECKS = 1
check: setup
	tools/check $(PG_CONFIGS)

clients: export FOR_CLIENTS = 1
clients: setup
	tools/clients "$(PG_CONFIG)"

core-tests:
	tools/core-tests "$(PG_CONFIG)"

fuzz:
	tools/fuzz $(SECONDS)

protocol-fuzz: setup
	tools/protocol-fuzz "$(PG_CONFIG)" $(CONNECTIONS) $(SEED)

soak: setup
	tools/soak "$(PG_CONFIG)" $(MINUTES)

package package-test release: export FOR_PACKAGES = 1
package: setup
	tools/package $(PG_CONFIGS)

package-test: setup
	tools/package-test $(PG_CONFIGS)

release: setup
	tools/release $(PG_CONFIGS)

clean:
	cargo clean
