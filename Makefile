# Headrace. `make` alone says what there is. Anything longer than a line lives in libs/stack.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# Never fetch interpreters; use the one that bootstrap.sh chose. A VIRTUAL_ENV of the caller's is none of ours.
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV

PYTHON := .venv/bin/python
STACK := $(PYTHON) -P -m headrace_stack
STAGES := TEST_WORKERS=$(TEST_WORKERS) $(PYTHON) -m tests.stages
UV := .headrace/uv/bin/uv
# Parts of the product that run, `core,observe` say; without it whatever runs already, or everything.
export HEADRACE_PARTS := $(or $(PARTS),$(HEADRACE_PARTS))
# On a terminal uv shows its progress; elsewhere one line is enough.
QUIET := $(shell [ -t 2 ] || echo --quiet)
# Compiled tests are cached, also where the caller asks Python for no cache: compiling all of them takes as long as a stage.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.headrace/bytecode
# Of pytest; without it each stage has its own number (tests/stages.py).
TEST_WORKERS ?=

.PHONY: help
help: ## Show this help
	@echo "Headrace: model serving behind one port."
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo
	@echo "  HEADRACE_BASE_PORT=9080 make up    a second checkout beside the first (default 8080)"
	@echo "  make up PARTS=core                 what serves predictions alone; make status names the other parts"
	@echo "  HEADRACE_PYTHON=/path/to/python    the CPython 3.11 or 3.12 to use"
	@echo "  make test TESTS=tests/unit         a part of the tests"
	@echo "  make test-compose OFFLINE=1        where no image registry can be reached"

.PHONY: demo
demo: up ## Set up, start everything and run the main job on real images
	@$(PYTHON) -m examples.demo

.PHONY: demo-core
demo-core: setup ## What serves predictions, alone: register, predict, split, promote, roll back; under a minute
	@$(STACK) status >/dev/null || [ $$? -ne 3 ] || $(MAKE) --no-print-directory up PARTS=core
	@$(PYTHON) -m examples.core

.PHONY: demo-scale
demo-scale: up ## Raise the load until the autoscaler starts a second batcher, and lower it again: about a minute
	@$(PYTHON) -m examples.scaling

.PHONY: demo-rollout
demo-rollout: up ## A shadow, then four versions under load: three are taken back by themselves, one is promoted
	@$(PYTHON) -m examples.rollouts.run

.PHONY: demo-experiment
demo-experiment: up ## Find the better of three feeds, stop the one that harms, with an A/A test beside it: under a minute
	@$(PYTHON) -m examples.experiments.run

.PHONY: demo-optimise
demo-optimise: up ## Register a scikit-learn pickle, make a smaller form of it, promote and tune it: about a minute
	@$(PYTHON) -m examples.optimised.run

.PHONY: demo-batch
demo-batch: up ## Score a million made-up records from S3 with a registered version, on Ray: about a minute
	@$(PYTHON) -m examples.batch.run

.PHONY: setup
setup: .headrace/synced .headrace/triton-venv/headrace-ready deploy/envoy/filter_bridge/libheadrace_filter_bridge.so ## Prepare the environments, nothing else

.headrace/uv/bin/uv: libs/stack/bootstrap.txt
	@sh libs/stack/bootstrap.sh
	@touch $@

.headrace/synced: .headrace/uv/bin/uv uv.lock pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
	@echo "installing the services, their components and the tools into .venv (1.2 GB)"
	@$(UV) sync --frozen --all-packages $(QUIET) --python "$$(cat .headrace/python)"
	@touch $@

deploy/envoy/filter_bridge/libheadrace_filter_bridge.so: .headrace/uv/bin/uv $(wildcard deploy/envoy/filter_bridge/*.[ch]) deploy/envoy/filter_bridge/build.sh
	@echo "building the front door's filter (without a C compiler, one is fetched: 0.1 GB)"
	@UV="$(CURDIR)/$(UV)" sh deploy/envoy/filter_bridge/build.sh || echo "it is not built: predictions are answered on grpc.aio"

.headrace/triton-venv/headrace-ready: .headrace/synced deploy/triton/requirements.txt deploy/triton/backend/model.py $(wildcard deploy/triton/startup/*.py)
	@echo "installing Triton into .headrace/triton-venv (0.3 GB)"
	@$(PYTHON) -P -m headrace_stack.triton_environment
	@touch $@

.headrace/mlserver-venv/headrace-ready: .headrace/synced deploy/mlserver/requirements.txt
	@echo "installing MLServer, which the tests start, into .headrace/mlserver-venv (0.3 GB)"
	@$(PYTHON) -P -m headrace_stack.foreign_environments mlserver
	@touch $@

.headrace/kserve-venv/headrace-ready: .headrace/synced tests/clients/kserve-requirements.txt
	@echo "installing KServe, whose clients the tests run, into .headrace/kserve-venv (0.3 GB)"
	@$(PYTHON) -P -m headrace_stack.foreign_environments kserve
	@touch $@

# Does not fail where apt cannot fetch them: the tests that need them say that they are skipped.
.headrace/debian/headrace-ready: .headrace/synced libs/stack/headrace_stack/debian_programs.py
	@echo "laying out what this machine lacks of Prometheus, promtool, kustomize and Chromium, which the tests start, in .headrace/debian (0.2 GB, with Chromium 1 GB)"
	@$(PYTHON) -P -m headrace_stack.debian_programs

.PHONY: screenshots
screenshots: .headrace/synced ## Write pictures of the console's pages into docs/console; after `make demo`, with a Chromium
	@$(PYTHON) docs/console/screenshots.py

.PHONY: up
up: setup ## Start the whole stack; does nothing when it is up
	@$(STACK) up

.PHONY: down
down: .headrace/synced ## Stop everything; data stay in .headrace/state
	@$(STACK) down

.PHONY: status
status: .headrace/synced ## Say how every component is, and where it listens
	@$(STACK) status

.PHONY: scale
scale: .headrace/synced ## Let SERVICE=… have N=… replicas while the stack runs; N=0 needs ZERO=1
	@test -n "$(SERVICE)" -a -n "$(N)" || { $(STACK) scale --help >&2; exit 2; }
	@$(STACK) scale $(if $(filter 1,$(ZERO)),--to-zero) -- "$(SERVICE)" "$(N)"

.PHONY: logs
logs: .headrace/synced ## Follow the logs of every component; JSON=1 for programs
	@$(STACK) logs --follow $(if $(filter 1,$(JSON)),--json)

.PHONY: backup
backup: .headrace/synced ## Write routes, models and their files into TO=folder, while the stack runs
	@test -n "$(TO)" || { echo "name the folder: make backup TO=…" >&2; exit 2; }
	@$(STACK) backup "$(TO)"

.PHONY: restore
restore: .headrace/synced ## Put the backup in FROM=folder in the place of what the running stack holds; asks, but for YES=1
	@test -n "$(FROM)" || { echo "name the folder: make restore FROM=…" >&2; exit 2; }
	@$(STACK) restore $(if $(filter 1,$(YES)),--yes) "$(FROM)"

.PHONY: stubs
stubs: .headrace/synced ## Generate libs/stubs from protos/ anew
	@$(PYTHON) protos/build.py generate

.PHONY: settings
settings: .headrace/synced ## Write docs/settings.md and deploy/settings.json anew
	@$(PYTHON) deploy/settings.py generate

.PHONY: topology
topology: .headrace/synced ## Write what follows from deploy/topology.toml anew: Kubernetes, Compose, Prometheus, documents
	@$(PYTHON) -m deploy.topology generate

.PHONY: only
only: .headrace/synced ## Take every part of the product but PARTS=core,… out of this checkout; git restore brings them back
	@test -n "$(PARTS)" || { echo "name the parts that stay: make only PARTS=core" >&2; exit 2; }
	@$(PYTHON) -m deploy.topology only "$(PARTS)"
	@$(UV) lock --quiet
	@$(MAKE) --no-print-directory .headrace/synced
	@$(MAKE) --no-print-directory stubs

.PHONY: lines
lines: .headrace/synced ## Print lines, modules and modules with one importer, by part
	@$(PYTHON) -m deploy.topology.sources

.PHONY: decisions
decisions: .headrace/synced ## Write docs/decisions/README.md, the index of decision records, anew
	@$(PYTHON) docs/decisions/index.py generate

.PHONY: service
service: .headrace/synced ## Write an empty service NAME=foo into the checkout, everywhere that a service stands
	@test -n "$(NAME)" || { echo "name the service: make service NAME=foo" >&2; exit 2; }
	@$(PYTHON) -m deploy.scaffold "$(NAME)"
	@$(UV) lock --quiet
	@$(MAKE) --no-print-directory .headrace/synced
	@$(MAKE) --no-print-directory stubs topology settings
	@echo "next: make test TESTS='tests/unit/deploy tests/unit/$(NAME) tests/integration/$(NAME)'; make up"

.PHONY: lint
lint: .headrace/synced ## Lint, protos, freshness of what is generated, import contracts: seconds
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PYTHON) protos/build.py lint
	$(PYTHON) protos/build.py check
	$(PYTHON) deploy/settings.py check
	$(PYTHON) -m deploy.topology check
	$(PYTHON) docs/decisions/index.py check
	$(PYTHON) deploy/wording.py check
	PYTHONPATH=deploy/envoy .venv/bin/lint-imports

# Most of a minute on one core: beside lint, so that what takes seconds can be asked often. `make test` runs it beside the unit tests.
.PHONY: types
types: .headrace/synced ## Types of everything, by basedpyright
	NODE_OPTIONS="--max-semi-space-size=64 $$NODE_OPTIONS" .venv/bin/basedpyright

TEST_ENVIRONMENT := setup .headrace/mlserver-venv/headrace-ready .headrace/kserve-venv/headrace-ready .headrace/debian/headrace-ready

.PHONY: check
check: lint ## Between two edits: lint, types and unit tests of what changed since main
	@files="$$($(PYTHON) -m tests.changed --types)"; [ -z "$$files" ] || .venv/bin/basedpyright $$files
	@.venv/bin/pytest -q -n $(or $(TEST_WORKERS),3) -m "not real and not faults and not long" $$($(PYTHON) -m tests.changed) || [ $$? -eq 5 ]

.PHONY: test
test: $(TEST_ENVIRONMENT) ## Everything that must pass: lint, types, then unit, integration and end-to-end tests
	@$(if $(TESTS),.venv/bin/pytest -n $(or $(TEST_WORKERS),3) --dist worksteal $(TESTS),$(STAGES) test)

.PHONY: test-unit
test-unit: .headrace/synced ## Its second stage: unit tests, and contract tests in memory, beside types
	@$(STAGES) test unit

.PHONY: test-integration
test-integration: $(TEST_ENVIRONMENT) ## Its third: single services on real components
	@$(STAGES) test integration

.PHONY: test-e2e
test-e2e: $(TEST_ENVIRONMENT) ## Its fourth: the whole stack through the front door
	@$(STAGES) test e2e

.PHONY: test-all
test-all: $(TEST_ENVIRONMENT) ## `make test`, then what takes longer or kills something; CONTINUE=1 after a part that failed
	@$(STAGES) all $(if $(CONTINUE),--continue)

.PHONY: test-statistics
test-statistics: .headrace/synced ## Simulate the error rates that docs/statistics.md, canaries.md and autoscaling.md state (10 min)
	@$(PYTHON) -m tests.statistics

.PHONY: test-statistics-packages
test-statistics-packages: .headrace/synced ## The same data given to Evidently, NannyML and river, in an environment of theirs (2 GB)
	@$(PYTHON) -m tests.statistics.packages

.PHONY: test-faults
test-faults: $(TEST_ENVIRONMENT) ## Only the tests that kill, cut off and starve things, with the long ones
	@$(if $(TESTS),.venv/bin/pytest -m "(faults or long) and not soak and not compose and not recipes" $(TESTS),$(STAGES) all faults long)

.PHONY: test-compose
test-compose: setup .headrace/debian/headrace-ready ## Build the images, start docker-compose.yml, run the demo and a failure round; needs Docker
	@docker info >/dev/null 2>&1 || { echo "test-compose: no Docker daemon answers: start one, or set DOCKER_HOST" >&2; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo "test-compose: docker has no compose: install its plugin (docker-compose-v2 or docker-compose-plugin)" >&2; exit 1; }
	@docker buildx version >/dev/null 2>&1 || { echo "test-compose: docker cannot build with BuildKit: install its plugin (docker-buildx or docker-buildx-plugin)" >&2; exit 1; }
	@test -z "$(OFFLINE)" || deploy/offline/base-image --check
	HEADRACE_OFFLINE=$(OFFLINE) .venv/bin/pytest -n 0 -m compose $(or $(TESTS),tests/compose)

.PHONY: test-recipes
test-recipes: setup ## Run docs/recipes with the real frameworks, in environments of theirs (6 GB)
	.venv/bin/pytest -n 0 --durations 12 --durations-min 0 -m recipes $(or $(TESTS),tests/recipes)

.PHONY: soak
soak: setup ## Ten minutes of predictions without PostgreSQL and registry, and a million answers that say whose they are
	.venv/bin/pytest -m soak $(TESTS)

.PHONY: bench-smoke
bench-smoke: setup ## 20 s of load through the front door; prints CPU per request per process
	@$(PYTHON) -m benchmarks.smoke

.PHONY: bench
bench: setup ## The predict path against its bars, and what else one would build; BENCH="--help" says more
	@$(PYTHON) -m benchmarks.hot_path $(BENCH)

.PHONY: bench-field
bench-field: setup ## Beside MLServer, KServe, BentoML, Ray Serve, mosec and Triton, in environments of theirs (0.8 GB)
	@$(PYTHON) -m benchmarks.field $(BENCH)

.PHONY: bench-batch
bench-batch: setup ## Offline scoring beside ONNX Runtime alone, plain Ray Data (0.4 GB) and Spark (1 GB), in environments of theirs
	@$(PYTHON) -m benchmarks.batch $(BENCH)

.PHONY: bench-soak
bench-soak: setup ## Ten minutes of predictions at 70 % of what the stack reaches: errors and memory
	@$(PYTHON) -m benchmarks.soak $(BENCH)

.PHONY: bench-profile
bench-profile: setup ## Where the time of a request goes inside Envoy, by thread and function
	@$(PYTHON) -m benchmarks.profiling $(BENCH)

.PHONY: format
format: .headrace/synced ## Format the code, that in documents too
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
