use mparticle::{Batch, Consent, Environment};

fn main() {
    let consent = Consent::granted(chrono::Utc::now());
    let _ = Batch::new(Environment::Production).ccpa_consent(consent);
}
