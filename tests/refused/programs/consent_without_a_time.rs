use mparticle::Consent;

fn main() {
    let _ = Consent::granted().document("terms.v3");
}
