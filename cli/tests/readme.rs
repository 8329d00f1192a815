//! The sessions of the README, run in the root of the repository as a reader would run them.

use std::env;

use mparticle::mock::{self, MockServer};

#[test]
fn sessions_of_the_readme_print_what_it_shows() {
    let (server, home) = (MockServer::start_blocking(), tempfile::tempdir().expect("a directory"));
    env::set_current_dir("..").expect("the root");
    trycmd::TestCases::new()
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", server.url())
        .env("MPARTICLE_CONFIG", "")
        .env("HOME", home.path().to_str().expect("UTF-8"))
        .env("XDG_CONFIG_HOME", "")
        .case("README.md")
        .run();
}
