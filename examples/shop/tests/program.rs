//! Tests of the program as a process: its configuration file and environment, signals and logs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mparticle::mock::{self, Fault, MockServer, event_named};
use mparticle::reqwest;

/// Starts the program with the mock's credentials in its environment.
fn start(server: &MockServer, command: &str, config: &Path) -> Child {
    let program = Command::new(env!("CARGO_BIN_EXE_shop"))
        .arg(command)
        .arg(config)
        .env("MPARTICLE_API_KEY", mock::KEY)
        .env("MPARTICLE_API_SECRET", mock::SECRET)
        .env("MPARTICLE_BASE_URL", server.url())
        .stderr(Stdio::piped())
        .spawn();
    program.expect("the program")
}

/// Writes a configuration, and returns its path.
fn write_config(name: &str, text: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn terminate(program: &Child) {
    let killed = Command::new("kill").args(["-TERM", &program.id().to_string()]).status();
    assert!(killed.expect("kill").success());
}

/// Waits for the program to end. Returns true if it succeeded, and the rest of its log.
fn wait(mut program: Child) -> (bool, String) {
    let mut log = String::new();
    program.stderr.take().expect("stderr").read_to_string(&mut log).expect("text");
    (program.wait().expect("an exit status").success(), log)
}

#[test]
fn backfill_stops_at_a_signal_and_completes_when_started_again() {
    let server = MockServer::builder().fault_rate(1.0, Fault::delay(Duration::from_millis(100))).start_blocking();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("shop.toml");
    let program = start(&server, "backfill", &config);
    while server.stats().batches == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    terminate(&program);
    let (success, log) = wait(program);
    assert!(!success && log.contains("stopped"), "{log}");
    assert!(server.stats().batches < 10_000);

    server.clear_faults();
    let (success, log) = wait(start(&server, "backfill", &config));
    assert!(success && log.contains("the backfill is complete delivered=10000 rejected=0"), "{log}");
    assert_eq!(server.stats().batches, 10_000);
}

#[test]
fn serve_delivers_queued_events_before_it_exits() {
    let server = MockServer::start_blocking();
    server.expect(event_named("Signed Up").identity("customer_id", "c1")).times(1);
    let config = write_config("serve.toml", "listen = \"127.0.0.1:0\"\n[mparticle]\nlinger = \"1m\"\n");
    let mut program = start(&server, "serve", &config);
    let mut line = String::new();
    BufReader::with_capacity(1, program.stderr.as_mut().expect("stderr")).read_line(&mut line).expect("a line");
    let address = line.trim().split("address=").nth(1).expect("an address");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let form = "customer=c1&email=a@example.com&channel=app&seats=1";
    let request = reqwest::Client::new()
        .post(format!("http://{address}/customers"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(runtime.block_on(request.send()).expect("a response").status(), 201);
    drop(runtime); // closes the connection, which the graceful shutdown waits for
    terminate(&program);
    let (success, log) = wait(program);
    assert!(success && log.contains("stopped stats=1 accepted, 0 recovered, 1 delivered"), "{log}");
}

#[test]
fn an_invalid_setting_is_reported_by_name() {
    let server = MockServer::start_blocking();
    for (text, reason) in [
        ("[mparticle]\nenvironment = \"prod\"\n", "unknown variant `prod`, expected `production` or `development`"),
        ("[mparticle]\nlingers = \"1s\"\n", "unknown field `lingers`"),
        ("[mparticle]\npod = \"moon\"\n", "unknown pod (expected us1, us2, eu1 or au1)"),
    ] {
        let config = write_config("invalid.toml", &format!("listen = \"127.0.0.1:0\"\n{text}"));
        let (success, log) = wait(start(&server, "serve", &config));
        assert!(!success && log.contains(reason), "{log}");
    }
}
