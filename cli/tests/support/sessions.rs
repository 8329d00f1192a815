//! The sessions of a terminal, with the key of a mock in their environment and no configuration of the user.

use std::path::Path;

use mparticle::mock::{self, MockServer};
use trycmd::TestCases;

/// Returns cases whose commands send to this mock, with this home directory.
pub fn sending_to(server: &MockServer, home: &Path) -> TestCases {
    let cases = TestCases::new();
    cases
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", server.url())
        .env("MPARTICLE_CONFIG", "")
        .env("HOME", home.to_str().expect("UTF-8"))
        .env("XDG_CONFIG_HOME", "");
    cases
}
