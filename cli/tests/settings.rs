//! The TOML in the documentation of `Settings`, read as a service reads its configuration.

use std::time::Duration;

use mparticle::{RetryPolicy, Settings, WhenFull};
use serde::Deserialize;

#[test]
fn the_toml_in_the_documentation_is_valid() {
    #[derive(Deserialize)]
    struct Config {
        mparticle: Settings,
    }

    let source = include_str!("../../src/settings.rs");
    let block = source.split("/// ```toml\n").nth(1).and_then(|rest| rest.split("/// ```\n").next()).expect("a block");
    let text = block.replace("\n/// ", "\n").replace("\n///", "\n").replacen("/// ", "", 1);
    let Config { mparticle } = toml::from_str(&text).expect("TOML");
    assert_eq!(mparticle.when_full, Some(WhenFull::Wait(Duration::from_secs(2))));
    assert_eq!(mparticle.max_batches, Some(20_000));
    let policy =
        RetryPolicy::new().initial_backoff(Duration::from_millis(100)).request_timeout(Duration::from_secs(60));
    assert_eq!(mparticle.retry_policy, Some(policy));
}
