# `make help` lists the targets. The scripts in tools/ do the work; each begins with a comment on its purpose.
#
# Environment:
#   DEMO_ONCE=1       make demo shows one round and exits
#   DEMO_MODE=gateway make demo shows burnkey gateway, which refuses a revoked key within milliseconds
#   BURNKEY_ENVOY     an Envoy to use instead of the pinned one
#   BURNKEY_CHROMIUM  a Chromium to use instead of the one in PATH
#   BURNKEY_POSTGRES  the folder of PostgreSQL's programs, if it is not a usual one
#   BURNKEY_REDIS_SERVER  a redis-server, or Valkey's server, to use instead of the one in PATH
#   BURNKEY_PYTHON    a Python with PyJWT and joserfc, instead of the pinned virtual environment
#   BURNKEY_VULNDB    a copy of the Go vulnerability database, folder or .tgz, for machines without a network
#   CI=true           a test fails if a component that it needs is missing, instead of being skipped; no test results are cached
#   CLIENTS           names of clients, separated by commas, for make clients: it then writes no tables
#   BENCH             flags of make bench, such as --quick or '--only jwks --out DIR'
#   GOTESTFLAGS       further flags for go test, such as -v or -run

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# With the experimental package runtime/secret, a minting process erases its registers and stack after use. The experiment is
# enabled where the platform and the Go tool chain support it.
EXPERIMENT = $(shell case $$(go env GOOS)/$$(go env GOARCH) in \
	(linux/amd64 | linux/arm64) GOEXPERIMENT=runtimesecret go env GOEXPERIMENT 2>/dev/null;; esac)
# Every build uses -trimpath, so that the program, its checks and its end-to-end tests share the compiled packages.
AS_SHIPPED = CGO_ENABLED=0 GOEXPERIMENT=$(EXPERIMENT) GOFLAGS='$(strip $(shell go env GOFLAGS) -trimpath)'

# The race detector is disabled in SQLite, which would take three times as long: Burnkey shares memory with it only through
# database/sql. Vet is off because `make vet` has already run.
RACE = CGO_ENABLED=1 go test -race -gcflags='modernc.org/...=-race=false' -vet=off

TESTFLAGS = -timeout 18m $(if $(filter true,$(CI)),-count=1) $(GOTESTFLAGS)
# The list is made before a test runs, so that a package that cannot be listed fails the target.
LIST = units=$$(go list ./...) && units=$$(printf '%s\n' "$$units" | grep -v '/e2e$$')
STEP = tools/step.sh
STARTED := $(shell date +%s)

# Paths of the components that tests need. `make test` installs them first; a plain `go test` skips tests whose component is
# missing.
BURNKEY_BIN := $(CURDIR)/bin/burnkey
BURNKEY_ENVOY ?= $(CURDIR)/.tools/envoy/envoy
BURNKEY_PYTHON ?= $(CURDIR)/.tools/python/bin/python
BURNKEY_SITE := $(CURDIR)/bin/site
BURNKEY_BLOCKS := $(CURDIR)/bin/docs-blocks.txt
export BURNKEY_BIN BURNKEY_ENVOY BURNKEY_PYTHON BURNKEY_SITE BURNKEY_BLOCKS

##@ Use

.PHONY: build
build: ## Build bin/burnkey (static, version from git)
	@mkdir -p bin
	@[ -x bin/burnkey ] || echo "building bin/burnkey: the first time takes a minute or two"
	@$(AS_SHIPPED) go build -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/burnkey ./cmd/burnkey

.PHONY: demo
demo: build envoy ## Server, Envoy and an API in this terminal: issue, use, revoke (DEMO_ONCE=1: one round; DEMO_MODE=gateway)
	@exec bin/burnkey demo --envoy "$$BURNKEY_ENVOY" $(if $(DEMO_MODE),--mode '$(DEMO_MODE)') $(if $(filter-out 0,$(DEMO_ONCE)),--once)

.PHONY: docs
docs: ## Build the documentation site in bin/site; fails if a link leads nowhere
	@tools/docs.sh

.PHONY: docs-serve
docs-serve: ## Show the documentation on http://127.0.0.1:8000
	@tools/docs.sh serve

##@ Check

.PHONY: test
test: ## Everything that CI runs; end-to-end tests and those with the race detector run side by side
	@$(STEP) 'tools' $(MAKE) --no-print-directory tools
	@$(STEP) 'modules are tidy and unaltered' $(MAKE) --no-print-directory check-modules
	@$(STEP) 'formatting' $(MAKE) --no-print-directory check-fmt
	@$(STEP) 'build' $(MAKE) --no-print-directory build
	@$(STEP) 'generated files are current' $(MAKE) --no-print-directory check-generated
	@$(STEP) 'go vet' $(MAKE) --no-print-directory vet
	@$(STEP) 'linters' $(MAKE) --no-print-directory lint
	@$(STEP) 'known vulnerabilities' $(MAKE) --no-print-directory vuln
	@tools/beside.sh "$(STEP) 'end-to-end tests' $(MAKE) --no-print-directory e2e" \
		"$(STEP) 'tests with the race detector' $(MAKE) --no-print-directory race"
	@DEMO_ONCE=1 DEMO_MODE=pull $(STEP) 'demo' $(MAKE) --no-print-directory demo
	@DEMO_ONCE=1 DEMO_MODE=gateway $(STEP) 'demo with burnkey gateway' $(MAKE) --no-print-directory demo
	@$(STEP) 'benchmarks, for correctness alone' $(MAKE) --no-print-directory bench BENCH=--quick
	@$(STEP) 'benchmarks of packages, once each' $(MAKE) --no-print-directory bench-once
	@echo "=== all passed in $$(($$(date +%s) - $(STARTED))) s"

.PHONY: unit
unit: ## Quick unit tests: no race detector; tests that need a component are skipped
	@$(LIST) && set -x && env -u BURNKEY_BIN -u BURNKEY_ENVOY -u BURNKEY_PYTHON go test $(TESTFLAGS) $$units

.PHONY: race
race: build go-tools envoy python schemas cluster browser promtool redis ## All tests but the end-to-end ones, with the race detector (needs a C compiler)
	@command -v "$$(go env CC)" >/dev/null || { \
		echo "error: the race detector needs a C compiler (on Debian: gcc libc6-dev)" >&2; exit 1; }
	@$(LIST) && set -x && $(RACE) $(TESTFLAGS) $$units

.PHONY: e2e
e2e: build docs go-tools envoy python cluster nginx proxies redis browser client-libraries ## End-to-end tests against bin/burnkey, a real Envoy, PostgreSQL, Redis, Chromium and Python's JWT libraries
	@rm -f $(BURNKEY_BLOCKS)
	$(AS_SHIPPED) go test -vet=off -count=1 -parallel 4 $(TESTFLAGS) ./e2e
	@[ ! -f $(BURNKEY_BLOCKS) ] || cat $(BURNKEY_BLOCKS)

.PHONY: clients
clients: build envoy python proxies client-libraries ## The client matrix: other people's clients against a server; writes the documentation's tables (half an hour)
	@tools/matrix.sh
	BURNKEY_E2E_CLIENTS="$${CLIENTS:-all}" $(AS_SHIPPED) go test -vet=off -count=1 -timeout 100m -v -run '^TestE2E(OAuth)?Clients$$' ./e2e
	$(if $(CLIENTS),,BURNKEY_WRITE=true go test -vet=off -count=1 -run '^TestE2EClientsTable$$' ./e2e)

.PHONY: contract
contract: build cluster ## The HTTP API against its OpenAPI document, by schemathesis, for CONTRACT seconds on each store (600)
	@tools/schemathesis.sh
	BURNKEY_E2E_CONTRACT=$(or $(CONTRACT),600) $(AS_SHIPPED) go test -count=1 -timeout 60m -run TestE2EContract -v ./e2e

.PHONY: bench
bench: build envoy nginx $(if $(findstring --quick,$(BENCH)),,rivals) ## Measure against Envoy, nginx, openssl, Keycloak and Hydra, for an hour (BENCH=--quick: a minute)
	@$(AS_SHIPPED) go build -o bin/benchmarks ./benchmarks
	@exec bin/benchmarks $(BENCH)

.PHONY: bench-once
bench-once: envoy ## The benchmarks of packages gateway, jwks and deploy/envoy, one round each: they run, but measure nothing
	$(AS_SHIPPED) go test -vet=off -run '^$$' -bench . -benchtime 1x ./gateway/... ./jwks/... ./deploy/envoy

.PHONY: lint
lint: go-tools ## Linters
	@$(AS_SHIPPED) tools/lint.sh

.PHONY: vet
vet: ## go vet
	$(AS_SHIPPED) go vet ./...

.PHONY: vuln
vuln: go-tools ## Known vulnerabilities in called code
	@$(AS_SHIPPED) tools/vulncheck.sh

.PHONY: check-fmt
check-fmt: go-tools ## Fail if a Go file is not formatted
	@tools/fmt.sh check

.PHONY: check-modules
check-modules: ## Fail if go.mod is not tidy or a downloaded module was altered
	go mod tidy -diff
	go mod verify

.PHONY: check-generated
check-generated: ## Fail if go generate changes a file
	@$(AS_SHIPPED) tools/check-generated.sh

.PHONY: cross
cross: ## Compile for the other platforms, for which some files differ
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/burnkey
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 go build -o /dev/null ./cmd/burnkey

##@ Change

.PHONY: fmt
fmt: go-tools ## Format the Go files
	@tools/fmt.sh write

.PHONY: generate
generate: ## Write the generated files again
	$(AS_SHIPPED) go generate ./...

##@ Set up

.PHONY: tools
tools: go-tools envoy python schemas cluster redis browser client-libraries promtool docs-tools ## Install everything the checks need, pinned, into .tools

.PHONY: go-tools
go-tools: ## Formatter, linters and govulncheck
	@tools/go-tools.sh

.PHONY: envoy
envoy: ## Envoy, at .tools/envoy/envoy
	@tools/envoy.sh

.PHONY: python
python: ## Python's JWT libraries, in .tools/python
	@tools/python-env.sh

.PHONY: schemas
schemas: ## The schemas of Kubernetes, compose and Envoy Gateway, in .tools/schemas
	@tools/schemas.sh

.PHONY: docs-tools
docs-tools: ## Zensical, which builds the documentation site, in .tools/docs
	@tools/docs.sh install

# These are Debian packages and not in .tools. If they are missing, tests that need them are skipped, except in CI.
.PHONY: cluster
cluster: ## PostgreSQL, Patroni, etcd, HAProxy and PgBouncer (root on Debian gets them installed, others the command)
	@tools/patroni.sh || [ "$$CI" != true ]

# Chromium and npm are Debian packages, too; the driver is in .tools/browser.
.PHONY: browser
browser: ## Chromium, its driver and an OpenID provider (root on Debian gets the packages installed)
	@tools/browser.sh || [ "$$CI" != true ]

.PHONY: client-libraries
client-libraries: ## The JavaScript and Java libraries of the documentation's examples, in .tools/clients
	@tools/clients.sh || [ "$$CI" != true ]

.PHONY: promtool
promtool: ## promtool, which checks deploy/monitoring (unpacked from Debian's package)
	@tools/promtool.sh || [ "$$CI" != true ]

# nginx is a Debian package, too. If it is missing, the benchmarks compare Burnkey with no other server, and the
# documentation's configuration of it is not run.
.PHONY: nginx
nginx: ## nginx, for make bench and the documentation's commands (root on Debian gets it installed)
	@tools/nginx.sh || [ "$$CI" != true ]

.PHONY: rivals
rivals: ## Keycloak and Ory Hydra, for make bench (needs a JDK, Maven and a C compiler)
	@tools/rivals.sh || [ "$$CI" != true ]

.PHONY: proxies
proxies: ## Apache with mod_auth_openidc, and Caddy, for the documentation's commands (root on Debian gets it installed)
	@tools/proxies.sh || [ "$$CI" != true ]

.PHONY: redis
redis: ## redis-server, for tests of limits that gateways share (root on Debian gets it installed)
	@tools/redis.sh || [ "$$CI" != true ]

.PHONY: clean
clean: ## Remove the builds
	rm -rf bin

.PHONY: distclean
distclean: clean ## Remove the tools in .tools, too
	rm -rf .tools

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
