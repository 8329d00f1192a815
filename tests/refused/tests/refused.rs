//! Code that the typed API must not allow: it does not compile, and the compiler names the place.

/// Runs only in continuous integration, because the compiler's messages depend on its version, and the test builds everything
/// again: `CI=true cargo test -p refused-tests`.
#[test]
fn wrong_code_does_not_compile() {
    if std::env::var_os("CI").is_none() {
        eprintln!("skipped: set CI=true to run this test");
        return;
    }
    trybuild::TestCases::new().compile_fail("programs/*.rs");
}
