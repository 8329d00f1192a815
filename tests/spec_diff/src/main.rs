//! Prints the change between two versions of the document, in terms of the Rust API: `just spec-diff`.
//!
//! Its arguments are the paths of the old and of the new document.

use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;
use spec_diff::Changes;

fn main() -> ExitCode {
    match run() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [old, new] = &arguments[..] else { return Err("usage: spec_diff OLD NEW".to_owned()) };
    Ok(Changes::between(&read(old)?, &read(new)?).to_string())
}

fn read(path: &str) -> Result<Value, String> {
    let yaml = fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
    serde_saphyr::from_str(&yaml).map_err(|error| format!("{path} is not YAML: {}", error.without_snippet()))
}
