# The commands of the book. `make` lists them. The first one that needs it makes .venv.

PYTHON ?= python3
BIN := .venv/bin
SITE := _build/html

# One thread wherever a notebook runs. Sums are split by thread, so the last digits of a trained model
# depend on their number; and on networks as small as ours a second thread costs more than it saves.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

# A worker for each core. A file stays with one of them, as the cells of a notebook must; of the
# site's tests, a stretch: those of one page stand together, and it is loaded once.
PARALLEL := --numprocesses auto --dist

# Named after the lock, so that a second run does nothing and a changed lock reinstalls.
READY := .venv/ready-$(shell cksum < requirements.txt | tr " " "-")
BENCH_LOCK := tests/benchmarks/requirements.txt
BENCH_READY := .venv-bench/ready-$(shell cksum < $(BENCH_LOCK) | tr " " "-")
# Touched only when a build ended without a warning.
BUILT := _build/built
SOURCES := _config.yml _toc.yml $(shell find index.md chapters data genfin_lib _sphinx \
	-type f -not -path '*/__pycache__/*' -not -path '*/.ipynb_checkpoints/*' -not -path 'data/cache/*')

.DEFAULT_GOAL := help
.PHONY: help book draft test site-test lab notebook data latency baselines walkforward rvrae signals states cross-section timevae bench joint studies comparison hierarchy assignments grade check-notebook links audit pdf clean

help:  ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

book: $(BUILT)  ## Build the site, warnings being errors
	@echo "The book is in $(CURDIR)/$(SITE)/index.html"

# Pages that quote a changed one may be behind: before a commit, make book.
draft: $(READY)  ## While writing, after a first build: the pages that changed, in under 20 seconds
	$(BIN)/jupyter-book build .

test: $(READY)  ## Lint, types, unit tests, every notebook against its stored outputs, the site
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy genfin_lib
	$(BIN)/pytest tests --ignore tests/site $(PARALLEL) loadfile
	$(BIN)/pytest chapters --nbval-lax --nbval-cell-timeout 300 $(PARALLEL) loadfile
	$(MAKE) book

site-test: $(BUILT)  ## The built site in headless Chromium
	$(BIN)/pytest tests/site $(PARALLEL) worksteal

lab: $(READY)  ## Open JupyterLab
	$(BIN)/jupyter lab

# NB=chapters/02_flows/01_name, with or without a suffix. The code is formatted on the way.
# --update keeps the identities of cells that did not change; no times and no version of Python are
# stored: small differences in git.
# With SYMBOL, which `make data` has fetched, a copy is run on it instead, in data/cache/notebooks.
notebook check-notebook: NAME = $(patsubst %.ipynb,%,$(patsubst %.myst.md,%,$(NB)))
notebook: $(READY)  ## Write and execute one notebook from its text: make notebook NB=chapters/...
	@test -n "$(NB)" || { echo "Say which: make notebook NB=chapters/02_flows/01_name"; exit 2; }
ifdef SYMBOL
	@$(BIN)/python -m genfin_lib.applications.rerun "$(NAME).ipynb" --symbol "$(SYMBOL)" \
		$(if $(TIMEFRAME),--timeframe $(TIMEFRAME)) $(if $(EXCHANGE),--exchange $(EXCHANGE)) \
		$(if $(SET),--set "$(SET)")
else
	@test -f "$(NAME).myst.md" || { echo "There is no $(NAME).myst.md"; exit 2; }
	$(BIN)/jupytext --quiet --to ipynb --update --output "$(NAME).ipynb" "$(NAME).myst.md"
	$(BIN)/ruff format --quiet "$(NAME).ipynb"
	$(BIN)/jupytext --quiet --to md:myst --output "$(NAME).myst.md" "$(NAME).ipynb"
	$(BIN)/jupyter nbconvert --log-level WARN --to notebook --execute --inplace "$(NAME).ipynb" \
		--ExecutePreprocessor.timeout=300 --ExecutePreprocessor.record_timing=False \
		--ClearMetadataPreprocessor.enabled=True \
		--ClearMetadataPreprocessor.preserve_cell_metadata_mask tags \
		--ClearMetadataPreprocessor.preserve_cell_metadata_mask mystnb \
		--ClearMetadataPreprocessor.preserve_cell_metadata_mask nbgrader \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask kernelspec \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask jupytext
endif

check-notebook: $(READY)  ## One notebook: lint, rules of the book, outputs: make check-notebook NB=chapters/...
	@test -f "$(NAME).ipynb" || { echo "Say which: make check-notebook NB=chapters/02_flows/01_name"; exit 2; }
	$(BIN)/ruff check "$(NAME).ipynb"
	$(BIN)/ruff format --check "$(NAME).ipynb"
	$(BIN)/pytest -q tests/book -k "$(notdir $(NAME))"
	$(BIN)/pytest -q "$(NAME).ipynb" --nbval-lax --nbval-cell-timeout 300

# Several symbols with commas. What is there already is not asked for again.
data: $(READY)  ## Fetch candles into data/cache: make data SYMBOL=BTC/USDT TIMEFRAME=1h SINCE=2023-01-01
	@test -n "$(SYMBOL)" || { echo "Say which: make data SYMBOL=BTC/USDT TIMEFRAME=1h"; exit 2; }
	@$(BIN)/python -m genfin_lib.data.exchange --symbol "$(SYMBOL)" $(if $(TIMEFRAME),--timeframe $(TIMEFRAME)) \
		$(if $(SINCE),--since "$(SINCE)") $(if $(UNTIL),--until "$(UNTIL)") \
		$(if $(EXCHANGE),--exchange $(EXCHANGE)) $(if $(URL),--url "$(URL)")

baselines: $(READY)  ## Forecast and judge every classical model over the whole protocol
	$(BIN)/python -m genfin_lib.applications.walkforward.baselines

walkforward: $(READY)  ## Flows against the best classical models: chosen before 2011, then the whole protocol (10 minutes on 16 cores)
	$(BIN)/python -m genfin_lib.applications.walkforward.run
	$(BIN)/python -m genfin_lib.applications.walkforward.coverage_study

joint: $(READY)  ## Joint densities of the 20 stocks: chosen on 2007-2010, then the whole protocol
	$(BIN)/python -m genfin_lib.applications.joint.run --select
	$(BIN)/python -m genfin_lib.applications.joint.run

studies: $(READY)  ## Learning online, and what synthetic data add
	$(BIN)/python -m genfin_lib.applications.joint.studies

hierarchy: $(READY)  ## Flat against hierarchical VAEs, on simulated and real windows (20 minutes)
	$(BIN)/python -m genfin_lib.applications.hierarchy.run
	$(BIN)/python -m genfin_lib.applications.hierarchy.scales
	$(BIN)/python -m genfin_lib.applications.hierarchy.seeds

# CSV=path runs it on other bars: a date, then Open, High, Low, Close, Volume.
timevae: $(READY)  ## Score generated windows of bars, from the published TimeVAE up (6 minutes of one core)
	$(BIN)/python -m genfin_lib.applications.timevae $(if $(CSV),--csv "$(CSV)")

latency: $(READY)  ## Time the live pipeline after the fetch, stage by stage (a minute, machine idle)
	$(BIN)/python -m genfin_lib.applications.live.latency

rvrae: $(READY)  ## Dynamic factor models, one ingredient at a time: 2007-2010, then the whole protocol
	$(BIN)/python -m genfin_lib.applications.dynamic_factors.run --select
	$(BIN)/python -m genfin_lib.applications.dynamic_factors.run
	$(BIN)/python -m genfin_lib.applications.dynamic_factors.study
	$(BIN)/python -m genfin_lib.applications.dynamic_factors.ablation

signals: $(READY)  ## What the flow says each evening, and what rules on it earned (10 minutes)
	$(BIN)/python -m genfin_lib.applications.signals

states: $(READY)  ## Glow on market states: densities, scenarios, alarms, trading (10 minutes on one core)
	$(BIN)/python -m genfin_lib.applications.market_states

cross-section: $(READY)  ## Autoencoders beside flows on days of 20 stocks (5 minutes)
	$(BIN)/python -m genfin_lib.applications.cross_section

# Cell by cell, in a process for each core; a run that was cut off goes on where it was.
comparison: $(READY)  ## Every generative model on the same data and the same scores (half an hour of one core)
	$(BIN)/python -m genfin_lib.applications.comparison

assignments: $(READY)  ## Students' versions of the assignments: chapters/*/assignment/student
	$(BIN)/python -m coursework.release

# One folder a student in SUBMISSIONS, as nbgrader collects them. OUT gets grades.csv and feedback pages.
grade: OUT = _build/grades
grade: $(READY)  ## Grade what was handed in: make grade SUBMISSIONS=folder
	@test -n "$(SUBMISSIONS)" || { echo "Say where they are: make grade SUBMISSIONS=folder"; exit 2; }
	@$(BIN)/python -m coursework.grade "$(SUBMISSIONS)" --out "$(OUT)" $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(AT_ONCE),--at-once $(AT_ONCE))

# CSV=data/results/bench_flows.csv writes the table there too. A script and no test: a busy machine
# must not fail anyone's build.
bench: $(BENCH_READY)  ## Our flows timed against zuko, nflows, normflows and torchcfm, in minutes
	.venv-bench/bin/python -W ignore -m tests.benchmarks.bench_flows $(if $(CSV),--csv $(CSV))

# Links within the site are checked by make site-test, without a network. Without one, nothing can be
# said of the others, and that is no error.
links: $(READY)  ## Ask every address that the book links to (needs a network)
	@$(BIN)/python -c 'import socket; socket.create_connection(("doi.org", 443), 10)' 2>/dev/null || \
		{ echo "No network: the addresses outside of the book were not asked."; exit 0; } && \
	$(BIN)/jupyter-book build . --all --builder linkcheck --path-output _build/links

# In an environment of its own: what checks the lock is not part of it.
audit:  ## Known faults of the locked packages (needs a network)
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip

# Debian: latexmk texlive-xetex texlive-latex-extra texlive-fonts-recommended fonts-freefont-otf tex-gyre
pdf: $(READY)  ## The book on paper, by LaTeX: _build/pdf
	@command -v latexmk xelatex >/dev/null || { echo "LaTeX is needed; CONTRIBUTING.md says which packages."; exit 2; }
	LATEXMKOPTS="-interaction=nonstopmode -halt-on-error" \
		$(BIN)/jupyter-book build . --all --builder pdflatex --path-output _build/pdf
	@echo "The book is in $(CURDIR)/_build/pdf/_build/latex"

clean:  ## Remove what was built, and the environments
	rm -rf _build .venv .venv-bench .venv-audit

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed; '$(PYTHON)' is `$(PYTHON) -V`." \
		"Name another: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(BENCH_READY):
	$(PYTHON) -m venv --clear .venv-bench
	@echo "Installing the peers; the log is .venv-bench/install.log"
	.venv-bench/bin/pip install --requirement $(BENCH_LOCK) > .venv-bench/install.log 2>&1
	@touch $@

# A page that left the table of contents must leave the site too, and Sphinx repeats no warning
# about a page that it does not read again: each build is a whole one. It takes seconds.
$(BUILT): $(READY) $(SOURCES)
	$(BIN)/python -m coursework.release
	rm -rf _build
	$(BIN)/jupyter-book build . --all -W -n --keep-going
	@touch $@
