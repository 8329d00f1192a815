use mparticle::Consent;

fn main() {
    let _ = Consent::granted(1_523_039_002);
}
