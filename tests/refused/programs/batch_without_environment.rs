use mparticle::Batch;

fn main() {
    let _ = Batch::new().customer_id("123456");
}
