//! A directory of files in which `mparticle send` runs.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use mparticle::mock;
use tempfile::TempDir;

pub struct Shell {
    pub dir: TempDir,
    pub url: String,
}

impl Shell {
    pub fn new(url: impl Into<String>) -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), url: url.into() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), content).expect("a file");
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the command `mparticle send` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
        command.arg("send").args(arguments).current_dir(self.dir.path());
        command.env_clear().env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
        command.env("MPARTICLE_BASE_URL", &self.url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program, and returns its exit code, stdout and stderr.
    pub fn send(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        outcome(self.command(arguments).output().expect("the program"))
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("the program")
    }
}

/// Returns the exit code, stdout and stderr.
pub fn outcome(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
