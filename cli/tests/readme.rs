//! The sessions of the README, run in the root of the repository as a reader would run them.

#[path = "support/sessions.rs"]
mod sessions;

use std::env;

use mparticle::mock::MockServer;

#[test]
fn sessions_of_the_readme_print_what_it_shows() {
    let (server, home) = (MockServer::start_blocking(), tempfile::tempdir().expect("a directory"));
    env::set_current_dir("..").expect("the root");
    let sessions = sessions::sending_to(&server, home.path());
    sessions.case("README.md").case("examples/csv/README.md").run();
}
