# boxoffice: `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN   := bin/boxoffice
TOOLS := bin/tools
GO    ?= go

# The race detector needs a C compiler; CI always has one and says so when not.
CC_FOUND := $(shell command -v cc gcc clang 2>/dev/null | head -n 1)
ifeq ($(CC_FOUND),)
RACE :=
RACE_NOTE := no C compiler was found: running without the race detector
else
RACE := -race
RACE_NOTE := running with the race detector
endif
# Packages are tested one after the other: several start brokers and databases,
# and members of a group that get no processor lose their partitions.

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/boxoffice
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/boxoffice

.PHONY: setup
setup: build ## Download what Go cannot bring: modules and the ClickHouse engine
	$(GO) mod download
	@$(BIN) setup

.PHONY: demo
demo: setup ## Sell out a large conference on this machine and check the books
	$(BIN) demo $(ARGS)

.PHONY: up
up: setup ## Start everything and keep it running
	$(BIN) up $(ARGS)

.PHONY: test
test: setup ## Run all tests (with the race detector where a C compiler is)
	@echo "$(RACE_NOTE)"
	@if [ -z "$(RACE)" ] && [ "$${CI:-}" = true ]; then echo "CI needs a C compiler for the race detector"; exit 1; fi
	$(GO) build $(RACE) ./...
	$(GO) test $(RACE) -p 1 -timeout 30m ./...

KAFKA_LIBS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/boxoffice/kafka

$(KAFKA_LIBS)/.complete: tools/kafka/pom.xml
	@command -v mvn >/dev/null || { echo "the tests over Apache Kafka need a JDK 17 and Maven"; exit 1; }
	rm -rf "$(KAFKA_LIBS)"
	mvn -q -B -f tools/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$(KAFKA_LIBS)"
	touch "$@"

.PHONY: test-kafka
test-kafka: setup $(KAFKA_LIBS)/.complete ## Sell tickets over Apache Kafka while its brokers are killed (needs a JDK 17 and Maven)
	BOXOFFICE_KAFKA_LIBS="$(KAFKA_LIBS)" $(GO) test $(RACE) -tags apachekafka -count=1 -timeout 20m ./internal/apachekafka

.PHONY: simulate
simulate: ## Simulate SCHEDULES=100000 schedules, or tell the story of SEED=n
	$(GO) test ./internal/simulation -count=1 -timeout 30m -v $(if $(SEED),-run TestReplay -seed $(SEED),-run TestSchedules -schedules $(or $(SCHEDULES),100000))

.PHONY: bench
bench: setup ## Measure: throughput, latency, CPU per role, memory, profile
	$(BIN) bench $(ARGS)

.PHONY: chaos
chaos: setup ## Break one thing after another under load and check the books (SEED=n ROUNDS=n)
	$(BIN) chaos $(if $(SEED),--seed $(SEED)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

.PHONY: tools
tools: ## Build the pinned tools (buf, protoc plugins, golangci-lint)
	@mkdir -p $(TOOLS)
	cd tools && $(GO) build -o ../$(TOOLS)/ $$(cd ../tools && $(GO) list tool)

.PHONY: lint
lint: tools ## Lint Go and Protobuf
	$(TOOLS)/golangci-lint run ./...
	cd schemas && ../$(TOOLS)/buf lint

.PHONY: breaking
breaking: tools ## Check the contracts against the last released ones
	cd schemas && ../$(TOOLS)/buf breaking --against released/boxoffice-v1.binpb

.PHONY: generate
generate: tools ## Regenerate Protobuf code and generated documents
	cd schemas && PATH="$(CURDIR)/$(TOOLS):$$PATH" buf generate
	@$(MAKE) --no-print-directory build
	$(BIN) docs docs

.PHONY: generated
generated: generate ## Fail when a generated file is not what was committed
	@git diff --exit-code --stat -- schemas docs || { echo "generated files differ: run 'make generate' and commit"; exit 1; }

.PHONY: verify
verify: lint breaking generated test ## All that CI runs

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
