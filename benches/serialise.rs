//! Measures the cost of the generated types relative to minimal structs that write the same JSON: `cargo bench --bench serialise`.

mod support;

use std::process::ExitCode;

use support::{batches, compare, minimal};

fn main() -> ExitCode {
    let (ours, rival) = (batches(), minimal());
    let json = serde_json::to_vec(&ours).expect("JSON");
    assert_eq!(json, serde_json::to_vec(&rival).expect("JSON"), "the JSON differs");
    println!("100 batches x 5 custom events x 5 attributes: {} bytes without ids", json.len());

    compare(
        "serialising, relative to minimal hand-written structs",
        Some(1.15),
        500,
        (|| (), |()| serde_json::to_vec(&ours).expect("JSON")),
        (|| (), |()| serde_json::to_vec(&rival).expect("JSON")),
    );

    let sealed: usize = ours.iter().map(|batch| batch.clone().seal().expect("a batch").len()).sum();
    let by_hand: usize = rival.iter().map(|batch| batch.clone().seal().len()).sum();
    assert_eq!(sealed, by_hand, "the sizes differ");
    println!("sealed, with ids: {sealed} bytes");
    compare(
        "sealing, relative to minimal hand-written structs with random ids",
        Some(1.3),
        500,
        (
            || ours.clone(),
            |batches| batches.into_iter().map(|batch| batch.seal().expect("a batch")).collect::<Vec<_>>(),
        ),
        (|| rival.clone(), |batches| batches.into_iter().map(support::MinimalBatch::seal).collect::<Vec<_>>()),
    );
    compare(
        "building and sealing, relative to minimal hand-written structs with random ids",
        Some(2.0),
        500,
        (|| (), |()| batches().into_iter().map(|batch| batch.seal().expect("a batch")).collect::<Vec<_>>()),
        (|| (), |()| minimal().into_iter().map(support::MinimalBatch::seal).collect::<Vec<_>>()),
    );
    support::exit_code()
}
