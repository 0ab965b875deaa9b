# The commands of this repository. `make help` lists them.
# The first Python that runs and is new enough; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
VENV   := .venv
BIN    := $(VENV)/bin
STATE  ?= .devstack
# Parallel test processes; the suite is written for any number.
JOBS   ?= 2

.PHONY: help run test lint format bench conformance check-config image-check deploy-check docs clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(VENV)/.installed: requirements.txt requirements-dev.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed (on Debian: apt-get install python3 python3-venv)"; exit 1; }
	@sh devstack/peers.sh build $(PYTHON)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

peers-%:
	@sh devstack/peers.sh $*

$(VENV)/.kerberos: $(VENV)/.installed requirements-kerberos.txt | peers-test
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-kerberos.txt >/dev/null 2>&1 && touch $@ || \
	  echo "without the Kerberos binding (needs gcc and libkrb5-dev): its tests are skipped"

run: $(VENV)/.installed peers-run ## start the development stack and pyos, show one session, serve until Ctrl-C (ONCE=1: stop after it)
	@$(BIN)/python -m devstack run --state $(STATE) $(if $(ONCE),--once)

test: $(VENV)/.installed peers-test $(VENV)/.kerberos ## run the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.installed ## formatting, lint, types and layer contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed peers-bench ## measure pyos on a stack of its own, about half an hour (SCENARIO="name name", ARGS="--write --json FILE")
	$(BIN)/python -m bench $(SCENARIO) $(ARGS)

conformance: $(VENV)/.installed ## does pyos work on the cluster of KUBECONFIG=FILE? (IMAGE=busybox NAMESPACE=name ONLY=session,client,records)
	$(BIN)/python -m conformance --kubeconfig "$(KUBECONFIG)" --image "$(or $(IMAGE),busybox)" \
	  $(if $(NAMESPACE),--namespace "$(NAMESPACE)") $(if $(ONLY),--only "$(ONLY)")

docs: $(VENV)/.installed ## write the generated pages of docs/ anew
	$(BIN)/python -m oc.od.settings.reference > docs/configuration.md
	UPDATE_DOCS=1 $(BIN)/python -m pytest tests/web/test_route_matrix.py -k document_says

check-config: $(VENV)/.installed ## check od.config, or FILE=path
	$(BIN)/python od.py --check-config $(FILE)

image-check: $(VENV)/.installed peers-images ## build the Ubuntu image on a base made here, run one session with it (root, Linux)
	$(BIN)/python -m devstack.images build $(STATE)/images
	PYOS_IMAGE_STATE=$(abspath $(STATE))/images $(BIN)/python -m pytest tests/images -n 0

deploy-check: $(VENV)/.installed peers-run ## check deploy/ against Kubernetes 1.29 to 1.35, apply it to the development cluster
	$(BIN)/python -m pytest tests/deploy -n 0

clean: ## remove what run and test made, and the virtual environment
	rm -rf $(VENV) $(STATE) logs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
