# The commands of this repository. `.ci/run` runs the same recipes.

# Lists the recipes.
default:
    @just --list

# Runs all checks that need no tool but cargo and Python.
check: format prose names lint test long-runs-small examples shop opentelemetry docs features ring trees crates fuzz-check regenerates

# Checks the format of the code.
format:
    cargo fmt --all --check

# Counts the markers of unclear English, and fails above the allowances. With `-v` it lists the places.
prose *options:
    .ci/prose {{options}}

# Fails if two types in src have the same name.
names:
    .ci/names

# Runs clippy with all features and with none.
lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo clippy -p mparticle --no-default-features -- -D warnings

# Runs the tests, with all features.
test:
    cargo test --all-features

# Runs the quickstart on the embedded mock.
quickstart:
    cargo run --example quickstart

# Runs every example on the embedded mock, as the tests built it.
examples:
    for example in examples/*.rs; do cargo run --quiet --all-features --example "$(basename "$example" .rs)" >/dev/null || exit 1; done

# Runs the tests of examples/shop, which is a package because it needs more crates than the library.
shop:
    cargo test --quiet -p shop

# Runs the tests of examples/opentelemetry, and the code blocks of the page about observability.
opentelemetry:
    cargo test --quiet -p mparticle-opentelemetry

# Builds the documentation; a broken link is an error.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc -p mparticle --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc -p mparticle --no-deps

# Builds the documentation as docs.rs does, with the features that each item needs. Needs a nightly toolchain.
docs-rs:
    RUSTDOCFLAGS="--cfg docsrs -D warnings" .ci/nightly doc -p mparticle --no-deps --all-features --lib

# Checks the library with each feature alone.
features:
    for feature in rustls rustls-ring native-tls blocking metrics mock; do cargo check -p mparticle --no-default-features --features $feature || exit 1; done

# Runs the tests of TLS with the feature `rustls-ring`. The other tests have `rustls` as well, which takes precedence.
ring:
    cargo test --quiet --no-default-features --features tls-tests/rustls-ring --test tls

# Checks that the features do not depend on certain crates.
trees:
    .ci/trees

# Counts the crates that the default library builds, and fails above the limits.
crates:
    .ci/crates

# Checks that only an edit of the document regenerates the code, and that it needs no other edit. Needs Python.
regenerates:
    .ci/regenerates

# Does the same, and also applies each edit alone.
regenerates-all:
    .ci/regenerates --all

# Prints the change of the document since a git revision, in terms of the Rust API. The library need not compile.
spec-diff revision="HEAD":
    mkdir -p target
    git show "{{revision}}:openapi/events.yaml" > target/spec-diff.yaml
    cargo run --quiet -p spec-diff -- target/spec-diff.yaml openapi/events.yaml

# Prints the cost of the builds that users wait for, each on an empty machine: library (and ring: with ring for TLS), quickstart, tests and program.
build-cost *builds:
    .ci/build-cost {{builds}}

# Packages what is published, and builds each package by itself, outside of the repository.
package:
    .ci/package

# Checks that the public API changed as the version says. For every release but the first; needs cargo-semver-checks.
semver:
    cargo semver-checks -p mparticle

# Builds the binaries and examples that the tests against programs of others run, with the features of the tests, which share them.
programs:
    cargo build --all-features --bins --examples

# Tests the live page of the mock in Chromium. Needs Debian's chromium and chromium-driver, npm and Python.
page: programs
    tests/page/run

# Checks that the fuzz targets compile.
fuzz-check:
    RUSTFLAGS="-D warnings" cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

# Fuzzes the mock, the spool reader and the readers of JSON and CSV files for this number of seconds for each target. Needs cargo-fuzz and a nightly toolchain.
fuzz seconds="300":
    for target in csv_reader json_frames mock_body mock_request spool_reader; do \
        mkdir -p fuzz/found/$target; \
        cargo +nightly fuzz run $target fuzz/found/$target fuzz/corpus/$target -- -max_total_time={{seconds}} -timeout=20 \
            || exit 1; \
    done

# Runs the threads of the uploader in many interleavings, under shuttle.
interleavings runs="10000":
    RUSTFLAGS="--cfg mparticle_shuttle" INTERLEAVINGS={{runs}} cargo test -p mparticle --lib --no-default-features \
        --target-dir target/interleavings uploader::tests::interleavings

# Runs the benchmarks, which print the cost as ratios to named alternatives.
bench:
    cargo bench -p mparticle --bench costs --bench serialise --bench upload --bench uploader --bench mock --bench queue --bench spool --bench write_through
    cargo bench -p mparticle-cli --bench send

# Prints the resident memory of 1,000,000 queued batches; memory, disk and losses of an hour with an outage; and memory and CPU of `send` for 10,000,000 events. Takes up to half an hour, of which the hour takes one minute.
long-runs batches="1000000" seconds="3600" events="1000000":
    QUEUE_BATCHES={{batches}} HOUR_SECONDS={{seconds}} LONG_SEND_EVENTS={{events}} \
        cargo bench --quiet --no-fail-fast -p mparticle -p mparticle-cli --bench queue --bench hour --bench long_send

# Runs the same with small numbers and without optimisation, so that continuous integration notices if one fails.
long-runs-small:
    QUEUE_BATCHES=20000 HOUR_SECONDS=24 LONG_SEND_EVENTS=2000 \
        cargo test --quiet --all-features --bench queue --bench hour --bench long_send

# Prints the cost of each step of an event's way as a ratio to a bare rival, and writes it to benches/COSTS.md.
costs:
    .ci/costs

# Prints the number of instructions of each step and of its rival, for 10,000 events. Needs valgrind.
instructions *steps:
    .ci/instructions {{steps}}

# Prints the instructions and the CPU time that `mparticle check` takes, also as a ratio to a git revision. Needs valgrind.
check-cost *revision:
    .ci/check-cost {{revision}}

# Kills a program that appends to a spool, and checks that no confirmed record is lost.
crash rounds="1000" seed="1":
    CRASH_ROUNDS={{rounds}} CRASH_SEED={{seed}} cargo test -p mparticle --all-features --test crash --test uploader_spool -- --nocapture

# Writes the public API to api/public-api.txt. Needs cargo-public-api 0.52 and a nightly toolchain.
api:
    mkdir -p target
    .ci/public-api > target/public-api.txt
    cp target/public-api.txt api/public-api.txt

# Compares the public API with api/public-api.txt. Needs the same tools as `api`.
api-check:
    mkdir -p target
    .ci/public-api > target/public-api.txt
    diff -u api/public-api.txt target/public-api.txt

# Checks the licences, sources and bans of the dependency tree. Needs cargo-deny.
deny:
    cargo deny check licenses bans sources

# Writes the spool that `cli/tests/cmd/spool.trycmd` inspects.
fixtures:
    cargo test -p mparticle-cli --test commands -- --ignored write_the_fixture

# Validates the requests of the client and the examples with Prism. Needs Python and npm.
prism: programs
    tests/peers/prism

# Validates the SARIF of `mparticle check` with Microsoft's SARIF Multitool. Needs npm, on Linux.
sarif: programs
    tests/peers/sarif

# Tests the mock with schemathesis. Takes its options, such as `--max-examples 2000`. Needs Python and npm.
schemathesis *options: programs
    tests/peers/schemathesis {{options}}

# Validates the requests of the official SDKs with the mock. Needs Python and npm.
official-sdks: programs
    tests/peers/official-sdks
