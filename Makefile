# `make` alone prints the targets. Nothing here is needed to run the server or
# the client: bin/chat-server and bin/chat-client are the same commands.

PYTHON ?= python3
# Set here, so that an exported HOST or PORT of the shell is not taken for ours.
HOST =
PORT =
NICK =
ARGS =

.DEFAULT_GOAL := help
.PHONY: help run-server run-client test crash-test fuzz cert load-test bench bench-charts lint clean
.DELETE_ON_ERROR:

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run-server: ## Start the server (HOST= PORT= ARGS='--strikes 3')
	@mkdir -p .chatroom
	@echo 'history and log are kept in .chatroom/; Ctrl-C stops the server'
	@exec $(PYTHON) bin/chat-server $(HOST:%=--host %) $(PORT:%=--port %) \
	    --history .chatroom/history.db --log-file .chatroom/server.log $(ARGS)

# An IPv6 address stands in brackets before its port.
ADDRESS = $(if $(findstring :,$(HOST)),[$(HOST)],$(HOST))$(PORT:%=:%)

# A kick (exit 3) is an ordinary end of a chat, not an error of make.
run-client: ## Join the chat (HOST= PORT= NICK= ARGS='--room tea')
	@$(PYTHON) bin/chat-client $(NICK:%=--nick %) $(ARGS) $(ADDRESS) || test $$? -eq 3

test: .venv/installed ## Run the tests (ARGS='-k kick -x')
	@.venv/bin/python -m $(if $(ARGS),pytest $(ARGS),tests.parts)

crash-test: ## Kill the server, cut its connections (ARGS='--kills 10 --proxy 20')
	@$(PYTHON) -m tests.crash.run $(ARGS)

fuzz: ## Hunt with damaged sessions and hostile clients (ARGS='--seconds 60')
	@$(PYTHON) -m tests.fuzz.run $(ARGS)

# Made once, and kept: whoever has noted the fingerprint is not to be told otherwise.
cert: .chatroom/cert.pem ## Make a certificate for TLS (HOST=chat.example.org)
	@echo 'server: make run-server HOST=$(EVERYWHERE)$(PORT:%= PORT=%) ARGS="--tls-cert .chatroom/cert.pem --tls-key .chatroom/key.pem"'
	@printf 'client: bin/chat-client %s --tls-fingerprint %s\n' \
	    '$(if $(HOST),$(ADDRESS),$(MACHINE)$(PORT:%=:%))' \
	    "$$(openssl x509 -in .chatroom/cert.pem -noout -fingerprint -sha256 | \
	        cut -d= -f2 | tr -d : | tr A-F a-f)"

MACHINE = $(shell uname -n)
# Where the server has to listen to be found by that name.
EVERYWHERE = $(if $(findstring :,$(HOST)),::,0.0.0.0)
CERT_NAME = $(or $(HOST),$(MACHINE))
CERT_KIND = $(if $(shell echo '$(CERT_NAME)' | grep -E '^[0-9.]+$$|:'),IP,DNS)

.chatroom/cert.pem:
	@mkdir -p .chatroom
	@command -v openssl >/dev/null || \
	    { echo 'make cert needs openssl: install it (apt install openssl)' >&2; exit 1; }
	@umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	    -nodes -days 3650 -subj '/CN=chatroom' \
	    -addext 'subjectAltName=$(CERT_KIND):$(CERT_NAME),DNS:localhost,IP:127.0.0.1,IP:::1' \
	    -keyout .chatroom/key.pem -out .chatroom/new.pem 2>/dev/null && \
	    mv .chatroom/new.pem $@

load-test: ## Put load on a server of its own, and check (ARGS='--clients 200')
	@$(PYTHON) bin/chat-load $(ARGS)

bench: ## Measure against three reference servers (ARGS='--quick')
	@$(PYTHON) -m tests.bench.run $(ARGS)

bench-charts: ## Write docs/benchmarks.md and its charts (takes long)
	@$(PYTHON) -m tests.bench.charts $(ARGS)

lint: .venv-lint/installed ## Check style and types
	@.venv-lint/bin/ruff check
	@.venv-lint/bin/ruff format --check
	@.venv-lint/bin/mypy

clean: ## Remove what was made here, but not .chatroom/
	rm -rf .venv .venv-lint build dist *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bin chatroom tests -name __pycache__ -type d -prune -exec rm -rf {} +

# `installed` is a copy of the file that says what is to be installed: only when
# its text has changed is anything fetched, so later runs need no network.
.venv/installed: pyproject.toml
	@cmp -s $< $@ || { $(call make-venv,.venv) && \
	    .venv/bin/python -m pip $(PIP_FLAGS) install -e '.[test]' && cp $< $@; }
	@touch $@

.venv-lint/installed: .ci/requirements-lint.txt
	@cmp -s $< $@ || { $(call make-venv,.venv-lint) && \
	    .venv-lint/bin/python -m pip $(PIP_FLAGS) install -r $< && cp $< $@; }
	@touch $@

PIP_FLAGS = --quiet --disable-pip-version-check

# Both complaints are one line, because the remedy is one step.
define make-venv
if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
    echo '$(PYTHON) is not Python 3.11 or newer: choose one with PYTHON=python3.11' >&2; \
    exit 1; \
elif ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
    echo '$(PYTHON) has no venv: install it (Debian, Ubuntu: apt install python3-venv)' >&2; \
    exit 1; \
else \
    echo 'making $(1)/ (once)' && $(PYTHON) -m venv --clear $(1); \
fi
endef
