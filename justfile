# What a person can do here. `.ci/run` calls the same recipes.

# Lists the recipes.
default:
    @just --list

# All checks that need no tool but cargo.
check: format lint test examples docs features trees crates regenerates

# The layout of the code.
format:
    cargo fmt --all --check

# Lints, with all features and with none.
lint:
    cargo clippy --all-targets --all-features -- -D warnings
    cargo clippy --no-default-features -- -D warnings

# The README's test command.
test:
    cargo test --all-features

# The quickstart, on the embedded mock.
quickstart:
    cargo run --example quickstart

# Every example, each on the embedded mock.
examples:
    for example in examples/*.rs; do cargo run --quiet --example "$(basename "$example" .rs)" >/dev/null || exit 1; done

# The documentation, as docs.rs builds it.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Every feature alone.
features:
    for feature in rustls native-tls blocking mock; do cargo check --no-default-features --features $feature || exit 1; done

# What the features must not pull in.
trees:
    .ci/trees

# How many crates the default library builds, held to the limits.
crates:
    .ci/crates

# An edit of the document regenerates, and nothing else does.
regenerates:
    .ci/regenerates

# CPU seconds of a clean build of the default library.
build-cost:
    .ci/build-cost

# Cost ratios beside named rivals.
bench:
    cargo bench --bench serialise --bench spool --bench upload

# Kills a program that appends to a spool, a thousand times, and looks for what was confirmed.
crash rounds="1000" seed="1":
    CRASH_ROUNDS={{rounds}} CRASH_SEED={{seed}} cargo test --all-features --test crash -- --nocapture

# Fuzzes the reader of the spool from its corpus. Needs cargo-fuzz and a nightly toolchain.
fuzz-spool seconds="60":
    mkdir -p fuzz/found/spool_reader
    cargo +nightly fuzz run spool_reader fuzz/found/spool_reader fuzz/corpus/spool_reader -- -max_total_time={{seconds}}

# Writes the public API as text. Needs cargo-public-api and a nightly toolchain.
api:
    cargo public-api --all-features -sss > api/public-api.txt

# Compares the public API with the committed text.
api-check:
    cargo public-api --all-features -sss | diff -u api/public-api.txt -

# Licences, sources and bans of the dependency tree. Needs cargo-deny.
deny:
    cargo deny check licenses bans sources
