GO       ?= go
FUZZTIME ?= 30s

MINUTES    ?= 10
SELECTIONS ?= 1000
SEED       ?= 0

TORTURE_MINUTES ?= 1
SOAK_MINUTES    ?= 60
TORTURE_FLAGS   ?=

COMPARE_FLAGS   ?=
COMPARE_TINY    := --rounds 1 --duration 100ms --groups 5

SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

.PHONY: help test race model mutate vet integration screenshots powercut torture soak fuzz bench compare compare-packages

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[a-z -]* ## /\1\t/p' Makefile | expand -t 18

test: ## run the tests; they need Go alone
	$(GO) test ./...

race: ## run the tests with the race detector, which needs a C compiler
	$(GO) test -race ./...

model: ## run millions of steps of random histories against the naive model
	$(GO) test ./devicegroup -run 'TestModel$$' -count=1 -timeout 30m -model.steps=3000000

mutate: ## break each rule of the core on purpose and see that a test finds out; it needs git
	$(GO) run ./internal/mutate

vet: ## look for mistakes with go vet and staticcheck, in the integration tests too
	$(GO) vet ./...
	$(GO) vet -tags integration ./...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags integration ./...

integration: compare-packages ## run the tests that need root, strace, ip, microsocks, haproxy, nginx, Caddy, Chromium, Prometheus and what compare needs, installed if missing (Debian, Ubuntu)
	for package in strace microsocks haproxy nginx caddy iproute2 chromium prometheus; do \
		dpkg -s $$package >/dev/null 2>&1 || { $(SUDO) apt-get update && $(SUDO) apt-get install -y $$package; } || exit 1; \
	done
	$(GO) test -count=1 -tags integration -parallel 16 ./internal/integration ./internal/powercut
	$(GO) test -count=1 -tags integration ./mediator ./reflect/boltstore ./chatserver ./client ./internal/hostile
	$(GO) test -count=1 ./internal/crash -crash.kills 50
	$(GO) test -count=1 ./internal/chatflow -chatflow.messages 10000
	$(GO) -C internal/acmetest test -count=1 ./...
	$(GO) -C internal/browsertest test -count=1 ./...

screenshots: ## make the pictures in docs/images; it needs Chromium
	$(GO) -C internal/browsertest run ./screenshots

powercut: ## cut the power of the store for MINUTES, then of an invitation, of the keys and of a restore, SELECTIONS at each sync; it needs strace
	$(GO) test ./internal/powercut -tags integration -run 'TestPowerCut(_Restore|_Pin)?$$|TestB6_PowerCut' -count=1 -v -timeout 24h \
		-powercut.minutes=$(MINUTES) -powercut.selections=$(SELECTIONS) -powercut.seed=$(SEED)

torture: ## keep a server busy for TORTURE_MINUTES while it is killed and its network fails, and judge what devices have seen
	$(GO) run ./internal/torture -minutes $(TORTURE_MINUTES) -seed $(SEED) $(TORTURE_FLAGS)

soak: ## keep one life of a server busy for SOAK_MINUTES and see that it holds no more in the end than in the beginning
	$(GO) run ./internal/torture -soak -minutes $(SOAK_MINUTES) -seed $(SEED) $(TORTURE_FLAGS)

fuzz: ## run each fuzz target for FUZZTIME
	@for package in $$($(GO) list ./...); do \
		tests=$$($(GO) test -list '^Fuzz' $$package) || exit 1; \
		for target in $$(echo "$$tests" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . ./...

compare: ## measure this server beside Redis, JetStream, Mosquitto and proxies; bench/compare tells more
	cd bench/compare && $(GO) run . $(COMPARE_FLAGS)

compare-packages: ## install what compare needs and is missing (Debian, Ubuntu)
	for package in redis-server mosquitto nginx libnginx-mod-stream haproxy websockify libsodium-dev; do \
		dpkg -s $$package >/dev/null 2>&1 || { $(SUDO) apt-get update && $(SUDO) apt-get install -y $$package; } || exit 1; \
	done
