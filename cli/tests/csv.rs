//! CSV files from the shell: what is sent, what is rejected, and that `check` reports all that `send` rejects.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use mparticle::mock::{self, MockServer};
use serde_json::Value;
use tempfile::TempDir;

const MAP: &str = "environment = \"development\"\n[identities]\ncustomer_id = \"id\"\n[user_attributes]\n\
    value = { column = \"value\", type = \"number\" }\n[event]\ntype = \"opt_out\"\n";

struct Shell {
    dir: TempDir,
    server: MockServer,
}

impl Shell {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), server: MockServer::start_blocking() }
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.dir.path().join(name), text).expect("a file");
        self
    }

    /// Returns the exit code, stdout and stderr.
    fn run(&self, arguments: &[&str], stdin: Stdio) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_mparticle"))
            .args(arguments)
            .current_dir(self.dir.path())
            .env("MPARTICLE_API_KEY", mock::KEY)
            .env("MPARTICLE_API_SECRET", mock::SECRET)
            .env("MPARTICLE_BASE_URL", self.server.url())
            .env("MPARTICLE_CONFIG", "")
            .stdin(stdin)
            .output()
            .expect("the program");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
    }

    fn events(&self) -> usize {
        self.server.batches().iter().map(|batch| batch["events"].as_array().map_or(0, Vec::len)).sum()
    }
}

#[test]
fn an_open_quote_costs_a_bounded_part_of_a_large_file() {
    const ROWS: usize = 60_000;
    let shell = Shell::new();
    let row = |number: usize| format!("user-{},{number}\n", number % 500);
    let before: String = (0..10).map(row).collect();
    let after: String = (10..ROWS).map(row).collect();
    shell.file("map.toml", MAP).file("rows.csv", format!("id,value\n{before}\"user-7,5\n{after}"));
    let (code, stdout, stderr) = shell.run(&["send", "--csv", "map.toml", "--json", "rows.csv"], Stdio::null());
    assert_eq!(code, 1, "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).expect("JSON");
    let (delivered, rejected) = (&summary["delivered"]["events"], &summary["rejected"]["events"]);
    let (delivered, rejected) = (delivered.as_u64().expect("a number"), rejected.as_u64().expect("a number"));
    assert_eq!(delivered + rejected, ROWS as u64 + 1, "each line is delivered or counted as rejected");
    assert_eq!(shell.events() as u64, delivered);
    assert!((2..12_000).contains(&rejected), "{rejected}");
    let message =
        format!("rows.csv:12:1  unclosed quote, or a field longer than 128 KiB; {rejected} lines are skipped\n");
    assert!(stderr.contains(&message), "{stderr}");
    let rejects = fs::read_to_string(shell.dir.path().join("rows.csv.rejects.ndjson")).expect("rejects");
    let reject: Value = serde_json::from_str(&rejects).expect("one reject");
    assert_eq!(reject["text"].as_str().expect("the lines").lines().count() as u64, rejected);
}

#[test]
fn check_reports_all_that_a_dry_run_rejects() {
    let shell = Shell::new();
    let rows: String = (0..40)
        .map(|number| match number % 4 {
            0 => format!("u-{number},many\n"),
            1 => format!(",{number}\n"),
            2 => format!("u-{number}\n"),
            _ => format!("u-{number},{number}\n"),
        })
        .collect();
    shell.file("map.toml", MAP).file("rows.csv", format!("id,value\n{rows}"));
    let (code, _, dry_run) = shell.run(&["send", "--dry-run", "--csv", "map.toml", "rows.csv"], Stdio::null());
    assert_eq!(code, 1, "{dry_run}");
    let (code, listed, summary) = shell.run(&["check", "--csv", "map.toml", "rows.csv"], Stdio::null());
    assert_eq!((code, listed.lines().count()), (1, 30), "{listed}{summary}");
    let plain = |line: &str| line.replace("  error[csv]", "").replace("  error[no-identity]", "");
    let listed: Vec<_> = listed.lines().map(plain).collect();
    for line in dry_run.lines().filter(|line| line.starts_with("rows.csv:") && line.contains("  ")) {
        assert!(listed.contains(&line.to_owned()), "{line}\n{listed:?}");
    }
    assert!(dry_run.contains("would send 10 events in 10 batches, rejected 30 events in 30 batches"), "{dry_run}");
    assert!(summary.contains("1 file, 40 batches, 40 events: 30 errors, 0 warnings"), "{summary}");
    assert!(summary.ends_with("10 would be sent, 30 would not\n"), "{summary}");
    let (_, json, _) = shell.run(&["check", "--json", "--csv", "map.toml", "rows.csv"], Stdio::null());
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [diagnostics @ .., summary] = &lines[..] else { panic!("{json}") };
    let mut rows: Vec<_> = diagnostics.iter().map(|line| line["line"].as_u64().expect("a line")).collect();
    rows.sort_unstable();
    assert_eq!(rows, (2..42).filter(|line| line % 4 != 1).collect::<Vec<_>>());
    assert_eq!(summary["summary"]["would_be_sent"], 10);
}

#[test]
fn each_order_arrives_as_one_purchase() {
    let shell = Shell::new();
    let example = |name| fs::read(Path::new("../examples/csv").join(name)).expect("an example");
    shell.file("shop.toml", example("shop.toml")).file("shop.csv", example("shop.csv"));
    let (code, _, stderr) = shell.run(&["send", "--csv", "shop.toml", "shop.csv"], Stdio::null());
    assert_eq!(code, 0, "{stderr}");
    let batches = shell.server.batches();
    let actions: Vec<_> = batches.iter().map(|batch| &batch["events"][0]["data"]["product_action"]).collect();
    let total: f64 = actions.iter().filter_map(|action| action["total_amount"].as_f64()).sum();
    let products: Vec<_> = actions.iter().map(|action| action["products"].as_array().map(Vec::len)).collect();
    assert_eq!((shell.events(), products), (2, vec![Some(3), Some(1)]));
    assert!((total - 79.90).abs() < 1e-9, "each total is counted once: {total}");
}

#[test]
fn reads_mparticle_csv_from_a_pipe_and_compressed() {
    let shell = Shell::new();
    let file = "../examples/csv/mparticle-custom_event.csv";
    let (code, _, stderr) = shell.run(&["send", "-"], Stdio::from(File::open(file).expect("an example")));
    assert_eq!((code, shell.events()), (0, 2), "{stderr}");
    let packed = zstd::stream::encode_all(File::open(file).expect("an example"), 1).expect("memory");
    shell.file("export-custom_event.csv.zst", packed);
    let (code, _, stderr) = shell.run(&["send", "export-custom_event.csv.zst"], Stdio::null());
    assert_eq!((code, shell.server.stats().duplicates), (0, 2), "the same batches have the same ids: {stderr}");
    let batch = &shell.server.batches()[0];
    assert_eq!(batch["user_identities"]["other_id_2"], "o-1");
    assert_eq!(batch["device_info"]["ios_advertising_id"], "613ff528-afd1-4c1b-9628-e6ed25ece900");
}

#[test]
fn a_resumed_upload_sends_no_second_purchase_of_a_transaction() {
    let shell = Shell::new();
    let map = "environment = \"development\"\n[identities]\ncustomer_id = \"id\"\n[event]\ntype = \"purchase\"\n\
        transaction_id = { column = \"order\" }\nproduct = { id = { column = \"sku\" }, name = \"Tea\" }\n";
    let sent = "order,id,sku\nA,u,1\n";
    let arguments = ["send", "--csv", "map.toml", "orders.csv", "--resume"];
    shell.file("map.toml", map).file("orders.csv", sent);
    assert_eq!(shell.run(&arguments, Stdio::null()).0, 0);
    shell.file("orders.csv", format!("{sent}A,u,2\nB,v,1\n"));
    let (code, _, stderr) = shell.run(&arguments, Stdio::null());
    assert_eq!((code, shell.events()), (1, 2), "{stderr}");
    assert!(stderr.contains("orders.csv:3:1  too far from the other rows of transaction \"A\""), "{stderr}");
}
