use mparticle::SessionStart;

fn main() {
    let _ = SessionStart::new().flag("name", "value");
}
