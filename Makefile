# The one toolbox. `make` lists it. Every target does its own set-up: npm packages, the Unicorn library, building.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build run debug boot test check types lint bench fuzz cpu faults frames hostile elf requests engines clean

NODE ?= node
CLI := dist/margay.js
SUBSET := $(shell find kernel userland toolchain/lib -name '*.ts')
# T=golden: the tests that compare with golden traces.
GOLDEN = $(shell grep -rl --include='*.test.ts' expectGolden tests)
HOST := $(shell find toolchain emulator images -name '*.ts' -not -path 'emulator/abi/*' -not -path 'toolchain/lib/rt/*')

# ENGINE=native or unicorn: what executes the guests. DISTURB=seed: tests split runs and drop caches at random.
ifdef ENGINE
export MARGAY_ENGINE := $(ENGINE)
endif
ifdef DISTURB
export MARGAY_DISTURB := $(DISTURB)
endif

help: ## this list (ENGINE=native or unicorn in each: what executes the guests)
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

node_modules/.stamp: package-lock.json
	@echo "installing npm packages"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.unicorn/stamp: emulator/cpu/unicorn/fetch.sh
	@emulator/cpu/unicorn/fetch.sh .unicorn
	@touch $@

setup: node_modules/.stamp .unicorn/stamp ## npm packages and the Unicorn library

dist/toolchain.js: node_modules/.stamp $(filter toolchain/%,$(HOST))
	@$(NODE) toolchain/bundle.mjs toolchain/main.ts $@

emulator/abi/.stamp: dist/toolchain.js $(wildcard kernel/abi/*.ts)
	@$(NODE) dist/toolchain.js codec kernel/abi emulator/abi
	@touch $@

$(CLI): emulator/abi/.stamp toolchain/bundle.mjs $(HOST)
	@$(NODE) toolchain/bundle.mjs emulator/cli/margay.ts dist/

images/out/.stamp: $(CLI) $(SUBSET)
	@$(NODE) $(CLI) build
	@touch $@

# What V8 has compiled in a run, for the next ones. Without it they start a little later.
dist/.cached: $(CLI) images/out/.stamp .unicorn/stamp
	@MARGAY_WRITE_CACHE=1 $(NODE) $(CLI) run --nodes 1 --cores 1 hello >/dev/null 2>&1 </dev/null || true
	@touch $@

build: images/out/.stamp dist/.cached ## the command, the kernel, init and the jobs

run: setup build ## boot four two-core nodes, load `hello` over the interconnect, run it
	@$(NODE) $(CLI) run --nodes 4 --cores 2 hello

debug: setup build ## gdb on two nodes that load and run `hello`
	@$(NODE) $(CLI) debug run --nodes 2 --cores 2 hello

boot: setup build ## boot the kernel on one node
	@$(NODE) $(CLI) boot kernel

test: setup build ## every test; T=path or name runs some, T=golden the golden traces, UPDATE=1 accepts golden output
	@[ -t 1 ] || export NO_COLOR=1; \
	$(NODE) node_modules/vitest/vitest.mjs run $(if $(filter golden,$(T)),$(GOLDEN),$(T)) $(if $(UPDATE),--update)

types: setup emulator/abi/.stamp ## type checks: host side, kernel, userland
	@$(NODE) node_modules/tsgo/bin/tsc -p tsconfig.json
	@$(NODE) node_modules/tsgo/bin/tsc -p kernel/tsconfig.json
	@$(NODE) node_modules/tsgo/bin/tsc -p userland/tsconfig.json
	@$(NODE) node_modules/tsgo/bin/tsc -p tests/cpu/checks/guest/tsconfig.json
	@$(NODE) node_modules/tsgo/bin/tsc -p tests/bench/tsconfig.json

lint: setup ## format and lint
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --error-on-warnings .

check: types lint test ## exactly what CI runs

fuzz: setup ## random programs against gcc: N=1000 SEED=1
	@$(NODE) toolchain/bundle.mjs tests/toolchain/random/fuzz.ts dist/fuzz.js
	@$(NODE) dist/fuzz.js $(or $(N),1000) $(or $(SEED),1)

bench: setup build ## every figure beside its peer: ONLY=codegen[:kernel], JSON=file
	@$(NODE) toolchain/bundle.mjs tests/bench/bench.ts dist/bench.js
	@ONLY="$(ONLY)" JSON="$(JSON)" $(NODE) dist/bench.js

faults: setup build ## jobs over faulty links on the real kernel: N=200 SEED=1, HIGH=1 for high rates on 1 to 32 nodes
	@FAULT_SEEDS=$(or $(N),200) FAULT_SEED=$(or $(SEED),1) $(NODE) node_modules/vitest/vitest.mjs run tests/system/faults.test.ts -t "$(if $(HIGH),high rates:,seeds:)" --disable-console-intercept

frames: setup build ## random frames to kernels under jobs and to nid 0: N=1000000 SEED=1
	@FRAMES=$(or $(N),1000000) FRAME_SEED=$(or $(SEED),1) $(NODE) node_modules/vitest/vitest.mjs run tests/system/wire.test.ts tests/service/wire.test.ts -t "random frames" --disable-console-intercept

hostile: setup build ## random system calls with hostile arguments: N=1000000 SEED=1
	@HOSTILE_CALLS=$(or $(N),1000000) HOSTILE_SEED=$(or $(SEED),1) $(NODE) node_modules/vitest/vitest.mjs run tests/kernel/hostile.test.ts --disable-console-intercept

elf: setup build ## mutated executables: N=10000 SEED=1
	@ELF_FILES=$(or $(N),10000) ELF_SEED=$(or $(SEED),1) $(NODE) node_modules/vitest/vitest.mjs run tests/system/elf-fuzz.test.ts --disable-console-intercept

requests: setup build ## random requests to the I/O node: N=100000 SEED=1
	@IO_REQUESTS=$(or $(N),100000) IO_REQUEST_SEED=$(or $(SEED),1) $(NODE) node_modules/vitest/vitest.mjs run tests/ionode/fuzz.test.ts --disable-console-intercept

cpu: setup ## user-mode instructions against this processor: N=1000000 SEED=1 ONLY=integer|sse|x87
	@$(NODE) toolchain/bundle.mjs tests/cpu/native/campaign.ts dist/cpu.js
	@$(NODE) dist/cpu.js $(or $(N),1000000) $(or $(SEED),1) $(ONLY)

engines: setup ## the native engine beside Unicorn and in pieces: N=100000 SEED=1 ONLY=integer|sse|mmx|x87|starts|self
	@$(NODE) toolchain/bundle.mjs tests/cpu/random/campaign.ts dist/engines.js
	@$(NODE) dist/engines.js $(or $(N),100000) $(or $(SEED),1) $(ONLY)

clean: ## remove what was built (not node_modules)
	@rm -rf dist images/out emulator/abi
