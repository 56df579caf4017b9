# The commands of this project. `make` lists them.

GO        ?= go
GOLANGCI  := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHSTAT := $(GO) run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

# The engine room: what the coverage gate measures.
CORE     := ./api ./engine ./actors/... ./internal/storage ./internal/storage/memory ./internal/storage/sqlite
COVERAGE := 93

# Every system below differs from linux/amd64 in something that has broken
# programs before: locks and paths, the system calls, the word size, the byte order.
TARGETS := windows/amd64 darwin/arm64 linux/386 linux/s390x

# Modules of their own, so that what they need stays out of go.mod.
MODULES := bench/peers $(patsubst %/go.mod,%,$(sort $(wildcard contrib/*/go.mod)))

# For bench and bench-compare.
PKG   ?= ./api
BENCH ?= .
COUNT ?= 6
REF   ?= main
MEASURE = $(GO) test $(PKG) -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT)

FUZZTIME ?= 20s
STRESSTIME ?= 10s
SOAKTIME ?= 1h
METATIME ?= 1h
HISTORYTIME ?= 30m
CRASHES ?= 1000

comma := ,
empty :=
space := $(empty) $(empty)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: format vet test check-modules lint ## all a change has to pass before it is proposed

.PHONY: format
format: ## fail if gofmt would change a file
	@files=$$(gofmt -l .); test -z "$$files" || { echo "run gofmt -w on:"; echo "$$files"; exit 1; }

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: test
test: ## every test
	$(GO) test ./...

# What opens stores as they are by default. The tests that are skipped take long, know their
# overlays by themselves, or have none.
OVERLAYS := ./api ./engine ./outbox ./persistence ./cmd/gostore
OVERLAYSKIP := Killed|Race|TestEverythingThatPeopleDoToFiles|TestReadersBesideOwners|Memory|Example

.PHONY: overlays
overlays: ## tests of stores without an overlay, and with a small one, which is folded all the time
	$(GO) test -tags overlay_none -short -skip '$(OVERLAYSKIP)' $(OVERLAYS)
	$(GO) test -tags overlay_small -short -skip '$(OVERLAYSKIP)' $(OVERLAYS)
	OVERLAY=16384 $(GO) test ./internal/storage/sqlite -short -run 'Model|Reads|Snapshot|Scan|Count|Quer|Expire|Check|Backup'

.PHONY: race
race: ## every test under the race detector, with its files on a disk
	TMPDIR=$${TMPDIR:-/tmp} $(GO) test -race -timeout 60m ./...

.PHONY: cover
cover: ## coverage of the core packages together; fails under 93 %
	$(GO) test -coverprofile=cover.out -coverpkg=$(subst $(space),$(comma),$(CORE)) $(CORE)
	@$(GO) tool cover -func=cover.out | awk -v least=$(COVERAGE) ' \
		/^total:/ { sub(/%/, "", $$3); covered = $$3 } \
		END { printf "covered: %s %% of the statements, %d %% needed\n", covered, least; exit covered + 0 < least }'

.PHONY: lint
lint: ## golangci-lint, with the few linters of .golangci.yml
	$(GOLANGCI) run ./...

.PHONY: tidy
tidy: ## fail if go.mod or a downloaded module is not what it should be
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: cross
cross: ## build, and type-check the tests, for the other systems
	@for target in $(TARGETS); do \
		echo "$$target"; \
		export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		$(GO) build ./... && $(GO) vet ./... || exit 1; \
	done

# What depends on the word size: pages and their cache, offsets in files, atomics of 64 bits,
# sizes of buffers, and the names of actors. An amd64 kernel runs it.
WORDS := ./internal/actorsystem ./internal/cache $(addprefix ./internal/storage/,btree pages overlay frames)
WORDSQLITE := TestEveryReadOfPagesAgreesWithSQLite|TestPagesBehindTheEnd|TestPagesOverAnOverlay|TestFoldsKeepUpWithCommits|TestSnapshotsStayAsTheyWere|TestSnapshotsOfAnOverlay|TestAnOverlayShowsWhatIsCommitted|TestTheLogIsKeptUntilItIsFolded
WORDAPI := TestActorSystemsOn32Bits|TestInvalidOptions|TestSetAndGet|TestGetAllAndPages|TestPrefixes|TestSnapshotsShowOneMoment|TestReadOnlyBesideAnOwner|TestReadOnlyAlone|TestFoldWaitsForTheTable

.PHONY: test-386
test-386: export GOARCH := 386
test-386: export CGO_ENABLED := 0
test-386: ## run, on a 32-bit system, what depends on the word size; on amd64, a minute or so
	$(GO) test -short $(WORDS)
	$(GO) test -short ./internal/storage/sqlite -run '^($(WORDSQLITE))$$'
	$(GO) test -short ./api -run '^($(WORDAPI))$$'

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME (20s), and how many executions that were
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; total=0; \
	for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x > "$$log" 2>&1 || { cat "$$log"; exit 1; }; \
			n=$$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$$log" | tail -n 1); \
			total=$$((total + n)); \
			printf '%-60s %12d executions\n' "$$(dirname "$$file") $$name" "$$n"; \
		done; \
	done; \
	printf '%-60s %12d executions\n' 'in all' "$$total"

.PHONY: bench
bench: ## benchmarks of PKG (./api) that match BENCH (.), COUNT (6) times
	$(MEASURE)

.PHONY: bench-compare
bench-compare: ## the same at REF (main) and here, compared by benchstat
	@folder=$$(mktemp -d) && \
	trap 'git worktree remove --force "$$folder/ref"; rm -rf "$$folder"' EXIT && \
	git worktree add --quiet --detach "$$folder/ref" $(REF) && \
	echo "measuring $(REF)" && (cd "$$folder/ref" && $(MEASURE)) > "$$folder/before" && \
	echo "measuring here" && $(MEASURE) > "$$folder/after" && \
	$(BENCHSTAT) "$(REF)=$$folder/before" "here=$$folder/after"

.PHONY: peers
peers: ## about a minute beside bbolt, badger, pebble, buntdb and the rest; PEERS=--full takes an hour or two
	$(GO) run -C bench/peers . $(or $(PEERS),--quick)

.PHONY: check-modules
check-modules: ## vet and test the modules of their own: the peers' adapters, and contrib
	@for module in $(MODULES); do \
		echo "$$module"; \
		$(GO) -C $$module mod tidy -diff || { echo "run go mod tidy in $$module"; exit 1; }; \
		$(GO) -C $$module vet ./... && $(GO) -C $$module test ./... || exit 1; \
	done

.PHONY: harness
harness: ## what the benchmark harness itself costs: at most 100 ns an operation
	$(GO) test ./bench -run '^$$' -bench Harness -benchtime 10x

.PHONY: soak
soak: ## 64 callers for SOAKTIME (1h): from minute five on nothing may grow; drawn into soak.html
	$(GO) run ./cmd/gostore soak --for $(SOAKTIME) --report soak.html --json soak.json

.PHONY: overload
overload: ## 10,000 callers on a disk that takes 50 ms, 500 ms and 5 s a sync: some six minutes
	$(GO) test ./internal/overload -overload.sync=50ms,500ms,5s -timeout 30m -count=1 -v

.PHONY: stress
stress: ## try to break a store for STRESSTIME (10s), then once more while its process is killed
	$(GO) run ./cmd/gostore stress --for $(STRESSTIME)
	$(GO) run ./cmd/gostore stress --for $(STRESSTIME) --kill

.PHONY: kill
kill: ## owners and subscribers in processes that are killed, for a minute
	$(GO) test ./api -run '^TestKilledOwnersAndSubscribers$$' -kill=1m -timeout 10m -count=1 -v

.PHONY: metamorphic
metamorphic: ## random programs of the whole interface against a model, for METATIME (1h)
	$(GO) test ./internal/metamorphic -run 'Metamorphic$$' -metamorphic=$(METATIME) -rapid.seed=0 -timeout 0 -count=1 -v

.PHONY: linearizability
linearizability: ## histories of many callers of a store that is killed, for HISTORYTIME (30m) each of two kinds
	$(GO) test ./internal/histories -run '^Test(Transactions|GroupsOfKeys)Are' -histories=$(HISTORYTIME) -timeout 0 -count=1 -v

.PHONY: powerloss
powerloss: ## power cuts: CRASHES (1000) at random moments of each scenario, and around every sync; an hour or two
	$(GO) -C internal/storage/sqlite test -run '^TestPowerLoss' -crashes=20 -report -timeout 2h
	$(GO) -C internal/faulttest test -run '^TestPowerLoss' -crashes=$(CRASHES) -report -timeout 5h

.PHONY: long
long: ## every round of the tests that have a short form, and pages beside SQLite in each way to read them
	$(GO) test ./internal/storage/sqlite -run 'AgreesWithSQLite|AgreeWithSQLite|ManyShortStatements' -long -count=1 -timeout 30m
	$(GO) test ./api -run '^Test(ReadsNeverGoBack|OperationsDoc_)' -long -count=1 -timeout 30m
	$(GO) test ./engine -run '^TestActorStoppedWhileItFails$$' -long -count=1 -timeout 30m

.PHONY: everycall
everycall: ## every call of the file system fails, once and from then on, with each error; an hour or two
	$(GO) -C internal/storage/sqlite test -run '^TestFaults' -stride=1 -report -timeout 2h
	$(GO) -C internal/faulttest test -run '^TestEveryCallFails$$' -stride=1 -report -timeout 5h

.PHONY: planted
planted: ## each bug that is planted on purpose (internal/planted) is caught by its test
	@GO='$(GO)' sh internal/planted/planted.sh

# What tests the inspector's page, and draws it: a store to show, and Chromium to show it in.
BROWSERTEST := inspect/browsertest
IN_BROWSER = folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(GO) build -o "$$folder/serve" ./$(BROWSERTEST)/serve && \
	npm --prefix $(BROWSERTEST) ci --no-audit --no-fund --loglevel=error && \
	SERVE="$$folder/serve" npm --prefix $(BROWSERTEST) run --silent

.PHONY: inspector
inspector: ## the inspector's page in headless Chromium (CHROMIUM, /usr/bin/chromium); needs Node.js 20 and npm
	@$(IN_BROWSER) test

# In the fonts that the page asks for first: Inter and JetBrains Mono (Debian's fonts-inter,
# fonts-jetbrains-mono). With others the pictures would differ by them alone.
.PHONY: screenshots
screenshots: ## draw docs/inspector*.png anew, of the real page
	@$(IN_BROWSER) screenshots

# Without what only a debugger reads: a third of the command.
RELEASE := -trimpath -ldflags='-s -w'

.PHONY: gostore
gostore: ## the command-line tool as it is released, into ./gostore (OUT): at most 25 MB
	$(GO) build $(RELEASE) -o $(or $(OUT),gostore) ./cmd/gostore

.PHONY: demo
demo: ## half a minute of everything at once, then every write verified
	$(GO) run ./cmd/gostore demo
