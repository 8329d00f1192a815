//! Keys in a file for one user's eyes: `config.toml`, with a section for each profile.
//!
//! ```toml
//! [profile.default]
//! key = "..."
//! secret = "..."
//! pod = "eu1"       # or base_url = "https://..."
//! ```
//!
//! No message quotes the text of the file but the names of its fields and profiles: the rest may be a secret.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use mparticle::{Client, ClientBuilder, Credentials, Pod};
use toml::{Table, Value};

use crate::exit::{self, CliError};
use crate::text::printable;

/// The file holds a few lines for each profile; one that is larger is another file.
const MAX_BYTES: u64 = 64 * 1024;

/// The profile that is taken when nothing says which.
const DEFAULT: &str = "default";

/// A key pair and where it belongs.
pub struct Profile {
    key: String,
    secret: String,
    pod: Pod,
    base_url: Option<String>,
}

impl Profile {
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn client_builder(self) -> ClientBuilder {
        let builder = Client::builder(Credentials::new(self.key, self.secret)).pod(self.pod);
        match self.base_url {
            Some(url) => builder.base_url(url),
            None => builder,
        }
    }
}

/// Shows no part of the key.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("pod", &self.pod).finish_non_exhaustive()
    }
}

/// Where the file lies: `$MPARTICLE_CONFIG`, or `mparticle/config.toml` in the user's directory for configuration.
pub fn config_path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("MPARTICLE_CONFIG") {
        return Some(path);
    }
    // A relative one counts as not set, as the XDG specification has it.
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    Some(config.or_else(|| Some(env::home_dir()?.join(".config")))?.join("mparticle").join("config.toml"))
}

/// The profile of this name, which has to be there.
pub fn load(name: &str) -> exit::Result<Profile> {
    let path = config_path().ok_or_else(|| CliError::usage("there is no home directory to look for profiles in"))?;
    let mut profiles = read_profiles(&path)?.ok_or_else(|| {
        let (name, path) = (printable(name), path.display());
        CliError::usage(format!("there is no profile \"{name}\": there is no file {path}"))
    })?;
    profiles.remove(name).ok_or_else(|| {
        let names: Vec<_> = profiles.keys().map(|name| printable(name)).collect();
        let there_is = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        CliError::usage(format!("there is no profile \"{}\" in {}: {there_is}", printable(name), path.display()))
    })
}

/// The profile `load_default`, if there is one.
pub fn load_default() -> exit::Result<Option<Profile>> {
    let Some(path) = config_path() else { return Ok(None) };
    Ok(read_profiles(&path)?.and_then(|mut profiles| profiles.remove(DEFAULT)))
}

/// All profiles of the file, if it is there.
fn read_profiles(path: &Path) -> exit::Result<Option<BTreeMap<String, Profile>>> {
    let cannot_read = |error: &io::Error| CliError::usage(format!("cannot read {}: {error}", path.display()));
    let wrong = |message: &str| CliError::usage(format!("{}: {message}", path.display()));
    let config_path = match File::open(path) {
        Ok(config_path) => config_path,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_read(&error)),
    };
    check_private(path, &config_path)?;
    let mut bytes = Vec::new();
    config_path.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong("is larger than 64 KiB, which no configuration is"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
    parse(&text).map(Some).map_err(|message| wrong(&message))
}

/// Whoever can write to the file could send our data elsewhere, and whoever can read it has the keys. The open file is
/// looked at, not its name: that may lead to another one by now.
fn check_private(path: &Path, config_path: &File) -> exit::Result<()> {
    let metadata =
        config_path.metadata().map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))?;
    if !metadata.is_file() {
        return Err(CliError::usage(format!("{} is not a file", path.display())));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(CliError::usage(format!("{} belongs to another user", path.display())));
        }
        if metadata.mode() & 0o077 != 0 {
            let path = path.display();
            return Err(CliError::usage(format!("{path} is open to other users; close it with: chmod 600 {path}")));
        }
    }
    Ok(())
}

/// The profiles that a text says, or what is wrong with it.
fn parse(text: &str) -> Result<BTreeMap<String, Profile>, String> {
    // The parser's own words are left out: they can quote the text.
    let table: Table = text.parse().map_err(|error: toml::de::Error| match error.span() {
        Some(span) => format!("{} is not TOML", position(text, span.start)),
        None => "it is not TOML".to_owned(),
    })?;
    let mut profiles = BTreeMap::new();
    for (field, value) in table {
        if field != "profile" {
            return Err(unknown_field("", &field));
        }
        for (name, value) in into_table("profile", value)? {
            let path = format!("profile.{}", printable(&name));
            profiles.insert(name, profile(&path, value)?);
        }
    }
    Ok(profiles)
}

fn profile(path: &str, value: Value) -> Result<Profile, String> {
    let (mut key, mut secret, mut pod, mut base_url) = (None, None, None, None);
    for (field, value) in into_table(path, value)? {
        let position = match field.as_str() {
            "key" => &mut key,
            "secret" => &mut secret,
            "pod" => &mut pod,
            "base_url" => &mut base_url,
            _ => return Err(unknown_field(&format!("{path}."), &field)),
        };
        let Value::String(text) = value else { return Err(format!("{path}.{field} is not a text")) };
        *position = Some(text).filter(|text| !text.is_empty());
    }
    let needed = |field: &str, value: Option<String>| value.ok_or_else(|| format!("{path} has no {field}"));
    let pod = pod.map_or(Ok(Pod::default()), |pod| pod.parse()).map_err(|error| format!("{path}.pod: {error}"))?;
    let (key, secret) = (needed("key", key)?, needed("secret", secret)?);
    Ok(Profile { key, secret, pod, base_url })
}

fn into_table(path: &str, value: Value) -> Result<Table, String> {
    if let Value::Table(table) = value { Ok(table) } else { Err(format!("{path} is not a section")) }
}

fn unknown_field(path: &str, field: &str) -> String {
    format!("unknown field {path}{}: there are key, secret, pod and base_url, in [profile.NAME]", printable(field))
}

fn position(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    format!("line {}, column {}", before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3t-9c41";

    #[test]
    fn a_profile_has_a_key_a_secret_and_a_place() {
        let text = "[profile.default]\nkey = \"k\"\nsecret = \"s3cr3t-9c41\"\npod = \"EU1\"\n\
                    [profile.\"my mock\"]\nkey = \"k\"\nsecret = \"s\"\nbase_url = \"http://127.0.0.1:1\"\npod = \"\"\n";
        let profiles = parse(text).expect("profiles");
        assert_eq!(profiles.keys().collect::<Vec<_>>(), ["default", "my mock"]);
        assert_eq!((profiles["default"].pod, &profiles["default"].base_url), (Pod::Eu1, &None));
        let mock = &profiles["my mock"];
        assert_eq!((mock.pod, mock.base_url.as_deref()), (Pod::Us1, Some("http://127.0.0.1:1")));
        assert!(!format!("{profiles:?}").contains(SECRET));
        assert!(parse("").expect("an empty file").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_quoted() {
        let table = [
            ("[profile.a]\nkey = \"k\"\nsecret = \"s3cr3t-9c41\nx\"", "line 4, column 3 is not TOML"),
            ("[profile.a]\nkey = s3cr3t-9c41", "line 2, column 7 is not TOML"),
            ("[profile.a]\nsecret = \"s3cr3t-9c41\"\nsecret = \"s3cr3t-9c41\"", "line 3, column 1 is not TOML"),
            ("profile = \"s3cr3t-9c41\"", "profile is not a section"),
            ("[profile]\na = \"s3cr3t-9c41\"", "profile.a is not a section"),
            ("[profile.a]\nsecret = [\"s3cr3t-9c41\"]", "profile.a.secret is not a text"),
            ("[profile.a]\nsecret = \"s3cr3t-9c41\"", "profile.a has no key"),
            ("[profile.a]\nkey = \"k\"\nsecret = \"\"", "profile.a has no secret"),
            (
                "[profile.a]\nkey = \"k\"\nsecret = \"k\"\npod = \"s3cr3t-9c41\"",
                "profile.a.pod: there is no such pod: us1, us2, eu1 and au1 are known",
            ),
            (
                "[profile.a]\npassword = \"s3cr3t-9c41\"",
                "unknown field profile.a.password: there are key, secret, pod and base_url, in [profile.NAME]",
            ),
            (
                "secret = \"s3cr3t-9c41\"",
                "unknown field secret: there are key, secret, pod and base_url, in [profile.NAME]",
            ),
            (
                "[profiles.a]\nkey = \"k\"",
                "unknown field profiles: there are key, secret, pod and base_url, in [profile.NAME]",
            ),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).expect_err(message), message, "{text}");
        }
    }
}
