//! What the typed API must not let anyone write does not compile, and the compiler says where.

#[test]
fn what_cannot_be_meant_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
