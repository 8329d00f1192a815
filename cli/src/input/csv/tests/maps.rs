//! Tests of maps and of their error messages.

use std::fs;
use std::io::Write;
use std::path::Path;

use mparticle::Environment;
use proptest::prelude::*;

use crate::exit::CliError;
use crate::input::csv::map::ColumnMap;
use crate::input::csv::{CsvBatchReader, MapFile};

/// Reads a map and opens a header with it.
fn open<'h>(
    map: &str,
    header: &'h str,
    environment: Option<Environment>,
) -> Result<CsvBatchReader<&'h [u8]>, CliError> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(map.as_bytes()).expect("room");
    let message =
        |failure: CliError| CliError::usage(failure.to_string().replace(&*file.path().to_string_lossy(), "MAP"));
    let map = MapFile::read(file.path(), environment).map_err(message)?;
    map.open(Path::new("FILE"), header.as_bytes()).map_err(message)
}

const START: &str = "environment = \"development\"\n[identities]\ncustomer_id = \"id\"\n";

#[test]
fn errors_of_a_map_have_positions() {
    let table = [
        ("x", "MAP:4:2  "),
        ("[event", "MAP:4:7  "),
        ("[events]\ntype = \"opt_out\"", "MAP:4:2  unknown field events: did you mean \"event\"?"),
        (
            "[event]\ntype = \"opt_out\"\nnane = \"a\"",
            "MAP:6:1  unknown field event.nane: expected one of type, opted_out, time, ",
        ),
        ("[event]\ntype = \"optout\"", "MAP:5:8  unknown type \"optout\": did you mean \"opt_out\"?"),
        ("[event]\nname = \"a\"", "MAP:4:1  missing event.type"),
        ("event = 5", "MAP:4:9  identities.event is not a string"),
        ("[event]\ntype = 5", "MAP:5:8  event.type is not a string"),
        ("[event]\ntype = \"screen_view\"", "MAP:4:1  missing event.name"),
        (
            "[event]\ntype = \"screen_view\"\nname = { colum = \"a\" }",
            "MAP:6:10  unknown field event.name.colum: did you mean \"column\"?",
        ),
        ("[event]\ntype = \"screen_view\"\nname = {}", "MAP:6:8  missing event.name.column"),
        (
            "[event]\ntype = \"custom_event\"\nname = \"a\"\ncustom_event_type = \"transactions\"",
            "MAP:7:21  unknown custom_event_type \"transactions\": did you mean \"transaction\"?",
        ),
        ("[event]\ntype = \"purchase\"", "MAP:4:1  missing event.product"),
        (
            "[event]\ntype = \"opt_out\"\ntime = { column = \"at\", format = \"iso\" }",
            "MAP:6:34  unknown format \"iso\"; use rfc3339, seconds, milliseconds, or a pattern, for example \"%d.%m.%Y %H:%M\"",
        ),
        (
            "[event]\ntype = \"opt_out\"\ntime = { column = \"at\", format = \"%Q\" }",
            "MAP:6:34  \"%Q\" is not a strftime pattern",
        ),
        (
            "[user_attributes]\na = { column = \"a\", type = \"int\" }",
            "MAP:5:28  unknown type \"int\": expected one of text, ",
        ),
        ("[user_attributes]\na = { column = \"a\", type = \"list\" }", "MAP:5:28  a list needs a separator"),
        ("[user_attributes]\na = { column = \"a\", separator = \"|\" }", "MAP:5:33  only a list has a separator"),
        ("[user_attributes]\na = [\"a\"]", "MAP:5:5  user_attributes.a is not a string"),
        (
            "[event]\ntype = \"opt_out\"\n[event.attributes]\na = { column = \"a\", type = \"list\", separator = \"|\" }",
            "MAP:7:28  only a user attribute can be a list",
        ),
        ("emial = \"m\"", "MAP:4:1  unknown identity \"emial\": did you mean \"email\"?"),
        ("email = { column = \"m\", type = \"text\" }", "MAP:4:25  unknown field identities.email.type: "),
        ("[csv]\ndelimiter = \"ab\"", "MAP:5:13  \"ab\" is not one ASCII character"),
        ("[csv]\ndelimiter = \"é\"", "MAP:5:13  \"é\" is not one ASCII character"),
        ("[csv]\ndecimal = \";\"", "MAP:5:11  \";\" is not \".\" or \",\""),
        ("[csv]\nnull = \"-\"", "MAP:5:8  csv.null is not a list of strings"),
        ("[csv]\nnull = [1]", "MAP:5:9  csv.null is not a string"),
        ("[device]\nios_idfa = \"a\"", "MAP:5:1  unknown field \"ios_idfa\" of a device: did you mean \"ios_idfv\"?"),
        (
            "[event]\ntype = \"opt_out\"\ntime = { column = \"at\", format = \"%Y-%m-%d %H:%M\", zone = \"Europe/Berln\" }",
            "MAP:6:59  unknown time zone \"Europe/Berln\": did you mean \"Europe/Berlin\"?",
        ),
        (
            "[event]\ntype = \"opt_out\"\ntime = { column = \"at\", format = \"%F %T%z\", zone = \"UTC\" }",
            "MAP:6:52  only a pattern without an offset has a zone; times of the other formats determine it",
        ),
        ("[csv]\nquote = \",\"", "MAP:5:9  the quote and the delimiter are the same"),
        // Errors about the header.
        ("email = \"maill\"", "MAP:4:9  no column \"maill\": did you mean \"mail\"?"),
        ("email = \"name\"", "MAP:4:9  no column \"name\": expected one of id, mail, two, two"),
        ("email = \"two\"", "MAP:4:9  column \"two\" occurs twice in the header"),
    ];
    for (text, message) in table {
        let failure = open(&format!("{START}{text}\n"), "id,mail,two,two\n", None).err();
        let error = failure.unwrap_or_else(|| panic!("{text} is valid")).to_string();
        assert!(error.starts_with(message), "{text}\n  {error}\n  {message}");
    }
    let whole = [
        ("[identities]\nemail = \"m\"", "m", None, "MAP: no environment in the map, and no --environment"),
        (
            START,
            "id",
            Some(Environment::Production),
            "MAP: the map is for development, but --environment is production",
        ),
        (
            "environment = \"prod\"\nidentities.email = \"m\"",
            "m",
            None,
            "MAP:1:15  \"prod\" is not development or production",
        ),
        ("environment = \"production\"", "m", None, "MAP:1:1  [identities] is missing or empty: events need a user"),
        (START, "", None, "cannot read FILE: the file is empty, without a header"),
        (START, "id,\"a\"b", None, "cannot read FILE: invalid header at 1:7: unexpected data after the closing quote"),
    ];
    for (map, header, environment, message) in whole {
        let failure = open(map, header, environment).err().unwrap_or_else(|| panic!("{map} is valid"));
        assert_eq!(failure.to_string(), message, "{map}");
    }
    assert!(open("[identities]\nemail = \"m\"", "m", Some(Environment::Production)).is_ok());
}

#[test]
fn reads_a_map_in_the_encodings_of_editors_and_shells() {
    let text = "environment = \"development\"\n[identities]\nemail = \"E-Mäil\"\n";
    let wide: Vec<u16> = format!("\u{feff}{text}").encode_utf16().collect();
    let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let latin: Vec<u8> = text.chars().map(|character| u8::try_from(u32::from(character)).expect("Latin-1")).collect();
    let cut = little[..little.len() - 1].to_vec();
    let read = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("room");
        MapFile::read(file.path(), None).and_then(|map| map.open(Path::new("FILE"), "E-Mäil\n".as_bytes()).map(|_| ()))
    };
    for bytes in [text.as_bytes().to_vec(), format!("\u{feff}{text}").into_bytes(), little, big] {
        read(&bytes).unwrap_or_else(|failure| panic!("{failure}"));
    }
    for bytes in [latin, cut] {
        let error = read(&bytes).expect_err("no text").to_string();
        assert!(error.ends_with(": neither UTF-8 nor UTF-16"), "{error}");
    }
}

#[test]
fn accepts_every_identity_of_the_document() {
    let document: serde_json::Value = serde_json::from_str(mparticle::contract::DOCUMENT).expect("JSON");
    let types = document["components"]["schemas"]["IdentityType"]["enum"].as_array().expect("a list");
    assert!(types.len() > 20);
    for name in types.iter().filter_map(serde_json::Value::as_str).chain(["mpid", "mp_deviceid"]) {
        assert!(ColumnMap::parse(&format!("[identities]\n{name} = \"c\"")).is_ok(), "{name}");
        // A misspelling gets a suggestion.
        let error = ColumnMap::parse(&format!("[identities]\n\"{name}!\" = \"c\"")).expect_err("no such type");
        assert!(error.message.contains(&format!("did you mean \"{name}\"?")), "{}", error.message);
    }
}

#[test]
fn the_map_of_the_examples_is_valid() {
    let map = fs::read_to_string("../examples/csv/orders.toml").expect("the map");
    let header = fs::read_to_string("../examples/csv/orders.csv").expect("the data");
    assert!(open(&map, &header, None).is_ok());
}

proptest! {
    #[test]
    fn accepts_any_map_without_panic(text in any::<String>(), name in ".*", value in ".*") {
        let _ = ColumnMap::parse(&text);
        for section in ["", "[csv]", "[identities]", "[device]", "[user_attributes]", "[event]", "[event.attributes]"] {
            let _ = ColumnMap::parse(&format!("{section}\n{name:?} = {value:?}\n"));
            let _ = ColumnMap::parse(&format!("{section}\n{name:?} = {{ column = {value:?}, type = {name:?}, format = {value:?} }}\n"));
        }
    }
}
