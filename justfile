# What a person can do here. `.ci/run` calls the same recipes.

# Lists the recipes.
default:
    @just --list

# All checks that need no tool but cargo and Python.
check: format lint test examples shop docs features trees crates regenerates

# The layout of the code.
format:
    cargo fmt --all --check
    cargo fmt --manifest-path examples/shop/Cargo.toml --check

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

# The tests of examples/shop, a package of its own. Its debug information would only cost disk.
shop:
    cargo test --quiet --locked --manifest-path examples/shop/Cargo.toml --no-default-features --target-dir target/shop

# The documentation, as docs.rs builds it.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Every feature alone.
features:
    for feature in rustls native-tls blocking metrics mock cli; do cargo check --no-default-features --features $feature || exit 1; done

# What the features must not pull in.
trees:
    .ci/trees

# How many crates the default library builds, held to the limits.
crates:
    .ci/crates

# An edit of the document regenerates, nothing else does, and it is the only edit. Needs Python.
regenerates:
    .ci/regenerates

# The same, with every edit alone, too.
regenerates-all:
    .ci/regenerates --all

# Prints the change of the document since a git revision, in words of the Rust API, with its semver class. Also if the library does not build.
spec-diff revision="HEAD":
    mkdir -p target
    git show "{{revision}}:openapi/events.yaml" > target/spec-diff.yaml
    cargo run --quiet --locked --manifest-path tests/spec_diff/Cargo.toml --target-dir target/spec-diff -- \
        target/spec-diff.yaml openapi/events.yaml

# CPU seconds of a clean build of the default library.
build-cost:
    .ci/build-cost

# What runs against programs that are not ours. With the features of `test`, which has built it already.
programs:
    cargo build --all-features --bins --examples

# The live page in a real Chromium. Needs Debian's chromium and chromium-driver, npm and Python.
page: programs
    tests/page/run

# Looks for bytes that upset the mock or the reader of the spool, this long for each target. Needs cargo-fuzz and nightly.
fuzz seconds="300":
    for target in mock_body mock_request spool_reader; do \
        mkdir -p fuzz/found/$target; \
        cargo +nightly fuzz run $target fuzz/found/$target fuzz/corpus/$target -- -max_total_time={{seconds}} -timeout=20 \
            || exit 1; \
    done

# Runs the uploader's threads in many orders, one step at a time.
interleavings runs="10000":
    RUSTFLAGS="--cfg mparticle_shuttle" INTERLEAVINGS={{runs}} cargo test --lib --no-default-features \
        --target-dir target/interleavings uploader::tests::interleavings

# Cost ratios beside named rivals.
bench:
    cargo bench --bench serialise --bench upload --bench uploader --bench mock --bench spool --bench write_through
    cargo bench --bench send --features cli

# Kills a program that appends to a spool, a thousand times, and looks for what was confirmed.
crash rounds="1000" seed="1":
    CRASH_ROUNDS={{rounds}} CRASH_SEED={{seed}} cargo test --all-features --test crash --test uploader_spool -- --nocapture

# Writes the public API as text. Needs cargo-public-api and a nightly toolchain.
api:
    cargo public-api --all-features -sss > api/public-api.txt

# Compares the public API with the committed text.
api-check:
    cargo public-api --all-features -sss | diff -u api/public-api.txt -

# Licences, sources and bans of the dependency tree. Needs cargo-deny.
deny:
    cargo deny check licenses bans sources

# Writes anew what tests/cmd/spool.trycmd looks into.
fixtures:
    cargo test --all-features --test commands -- --ignored write_the_fixture

# What our client and our examples write, held against the document by Prism. Needs Python and npm, as the next two do.
prism: programs
    tests/peers/prism

# The SARIF of `mparticle check`, held against its schema by Microsoft's SARIF Multitool. Needs npm, on Linux.
sarif: programs
    tests/peers/sarif

# The mock, driven by schemathesis. Takes its options, as `--max-examples 2000` for a longer run.
schemathesis *options: programs
    tests/peers/schemathesis {{options}}

# What the official SDKs send, held against the document by the mock.
official-sdks: programs
    tests/peers/official-sdks
