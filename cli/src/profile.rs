//! Profiles with credentials, in a file that only its owner can read: `config.toml`.
//!
//! ```toml
//! [profile.default]
//! key = "..."
//! secret = "..."
//! pod = "eu1"       # or base_url = "https://..."
//! ```
//!
//! Messages quote only the names of fields and profiles from the file, since everything else may be a secret.

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

/// A larger file is not a configuration file, which has a few lines for each profile.
const MAX_BYTES: u64 = 64 * 1024;

/// The profile that is used when neither `--profile` nor the environment is set.
const DEFAULT: &str = "default";

/// Credentials and the address that they belong to.
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

/// Omits the key and the secret.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("pod", &self.pod).finish_non_exhaustive()
    }
}

/// Returns the path of the file: `$MPARTICLE_CONFIG`, or `mparticle/config.toml` in the user's configuration directory.
pub fn config_path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("MPARTICLE_CONFIG") {
        return Some(path);
    }
    // The XDG specification says to ignore a relative path.
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    Some(config.or_else(|| Some(env::home_dir()?.join(".config")))?.join("mparticle").join("config.toml"))
}

/// Loads the profile of this name.
pub fn load(name: &str) -> exit::Result<Profile> {
    let path = config_path()
        .ok_or_else(|| CliError::usage("no home directory to look for profiles in; set MPARTICLE_CONFIG"))?;
    let mut profiles = read_profiles(&path)?.ok_or_else(|| {
        let (name, path) = (printable(name), path.display());
        CliError::usage(format!("no profile \"{name}\": the file {path} does not exist"))
    })?;
    profiles.remove(name).ok_or_else(|| {
        let names: Vec<_> = profiles.keys().map(|name| printable(name)).collect();
        let known = if names.is_empty() { "no profiles".to_owned() } else { names.join(", ") };
        CliError::usage(format!("no profile \"{}\" in {}, which has {known}", printable(name), path.display()))
    })
}

/// Loads the profile `default`, if there is one.
pub fn load_default() -> exit::Result<Option<Profile>> {
    let Some(path) = config_path() else { return Ok(None) };
    Ok(read_profiles(&path)?.and_then(|mut profiles| profiles.remove(DEFAULT)))
}

/// Reads all profiles of the file, if it exists.
fn read_profiles(path: &Path) -> exit::Result<Option<BTreeMap<String, Profile>>> {
    let cannot_read = |error: &io::Error| CliError::usage(format!("cannot read {}: {error}", path.display()));
    let invalid = |message: &str| CliError::usage(format!("{}: {message}", path.display()));
    let config_path = match File::open(path) {
        Ok(config_path) => config_path,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot_read(&error)),
    };
    check_private(path, &config_path)?;
    let mut bytes = Vec::new();
    config_path.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(invalid("larger than 64 KiB, too large for a configuration file"));
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))?;
    parse_profiles(&text).map(Some).map_err(|message| invalid(&message))
}

/// Refuses a file that other users can read, which would reveal the keys, or write, which could redirect the data. Checks
/// the open file, since its path may lead to another one by now.
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
            return Err(CliError::usage(format!("{path} is accessible to other users; fix it with: chmod 600 {path}")));
        }
    }
    Ok(())
}

/// Parses the profiles.
fn parse_profiles(text: &str) -> Result<BTreeMap<String, Profile>, String> {
    // The message of the parser is dropped, since it can quote the text.
    let table: Table = text.parse().map_err(|error: toml::de::Error| match error.span() {
        Some(span) => format!("{}: invalid TOML", format_position(text, span.start)),
        None => "invalid TOML".to_owned(),
    })?;
    let mut profiles = BTreeMap::new();
    for (field, value) in table {
        if field != "profile" {
            return Err(unknown_field("", &field));
        }
        for (name, value) in into_table("profile", value)? {
            let path = format!("profile.{}", printable(&name));
            profiles.insert(name, parse_profile(&path, value)?);
        }
    }
    Ok(profiles)
}

fn parse_profile(path: &str, value: Value) -> Result<Profile, String> {
    let (mut key, mut secret, mut pod, mut base_url) = (None, None, None, None);
    for (field, value) in into_table(path, value)? {
        let slot = match field.as_str() {
            "key" => &mut key,
            "secret" => &mut secret,
            "pod" => &mut pod,
            "base_url" => &mut base_url,
            _ => return Err(unknown_field(&format!("{path}."), &field)),
        };
        let Value::String(text) = value else { return Err(format!("{path}.{field} is not a string")) };
        *slot = Some(text).filter(|text| !text.is_empty());
    }
    let needed = |field: &str, value: Option<String>| value.ok_or_else(|| format!("{path} has no {field}"));
    let pod = pod.map_or(Ok(Pod::default()), |pod| pod.parse()).map_err(|error| format!("{path}.pod: {error}"))?;
    let (key, secret) = (needed("key", key)?, needed("secret", secret)?);
    Ok(Profile { key, secret, pod, base_url })
}

fn into_table(path: &str, value: Value) -> Result<Table, String> {
    if let Value::Table(table) = value { Ok(table) } else { Err(format!("{path} is not a table")) }
}

fn unknown_field(path: &str, field: &str) -> String {
    format!("unknown field {path}{}; the fields are key, secret, pod and base_url, in [profile.NAME]", printable(field))
}

fn format_position(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    format!("line {}, column {}", before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3t-9c41";

    #[test]
    fn parses_key_secret_pod_and_base_url() {
        let text = "[profile.default]\nkey = \"k\"\nsecret = \"s3cr3t-9c41\"\npod = \"EU1\"\n\
                    [profile.\"my mock\"]\nkey = \"k\"\nsecret = \"s\"\nbase_url = \"http://127.0.0.1:1\"\npod = \"\"\n";
        let profiles = parse_profiles(text).expect("profiles");
        assert_eq!(profiles.keys().collect::<Vec<_>>(), ["default", "my mock"]);
        assert_eq!((profiles["default"].pod, &profiles["default"].base_url), (Pod::Eu1, &None));
        let mock = &profiles["my mock"];
        assert_eq!((mock.pod, mock.base_url.as_deref()), (Pod::Us1, Some("http://127.0.0.1:1")));
        assert!(!format!("{profiles:?}").contains(SECRET));
        assert!(parse_profiles("").expect("an empty file").is_empty());
    }

    #[test]
    fn errors_name_the_field_without_quoting_values() {
        let table = [
            ("[profile.a]\nkey = \"k\"\nsecret = \"s3cr3t-9c41\nx\"", "line 4, column 3: invalid TOML"),
            ("[profile.a]\nkey = s3cr3t-9c41", "line 2, column 7: invalid TOML"),
            ("[profile.a]\nsecret = \"s3cr3t-9c41\"\nsecret = \"s3cr3t-9c41\"", "line 3, column 1: invalid TOML"),
            ("profile = \"s3cr3t-9c41\"", "profile is not a table"),
            ("[profile]\na = \"s3cr3t-9c41\"", "profile.a is not a table"),
            ("[profile.a]\nsecret = [\"s3cr3t-9c41\"]", "profile.a.secret is not a string"),
            ("[profile.a]\nsecret = \"s3cr3t-9c41\"", "profile.a has no key"),
            ("[profile.a]\nkey = \"k\"\nsecret = \"\"", "profile.a has no secret"),
            (
                "[profile.a]\nkey = \"k\"\nsecret = \"k\"\npod = \"s3cr3t-9c41\"",
                "profile.a.pod: unknown pod (expected us1, us2, eu1 or au1)",
            ),
            (
                "[profile.a]\npassword = \"s3cr3t-9c41\"",
                "unknown field profile.a.password; the fields are key, secret, pod and base_url, in [profile.NAME]",
            ),
            (
                "secret = \"s3cr3t-9c41\"",
                "unknown field secret; the fields are key, secret, pod and base_url, in [profile.NAME]",
            ),
            (
                "[profiles.a]\nkey = \"k\"",
                "unknown field profiles; the fields are key, secret, pod and base_url, in [profile.NAME]",
            ),
        ];
        for (text, message) in table {
            assert_eq!(parse_profiles(text).expect_err(message), message, "{text}");
        }
    }
}
