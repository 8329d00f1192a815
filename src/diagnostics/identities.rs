//! The rules on identities: of the user, of the device and at partners.

use serde_json::Value;

use super::code::Code;
use super::diagnostic::Diagnostic;
use crate::pointer::JsonPointer;

/// The fields of `device_info` that identify a device.
pub(crate) const DEVICE_IDENTITIES: [&str; 10] = [
    "amp_id",
    "android_advertising_id",
    "android_uuid",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_idfv",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_advertising_id",
    "roku_publisher_id",
];

/// The texts that programs write where they have no value, in lower case. None of them is the identity of a single user.
const PLACEHOLDERS: [&str; 28] = [
    "",
    "-",
    "--",
    "#div/0!",
    "#n/a",
    "#name?",
    "#null!",
    "#num!",
    "#ref!",
    "#value!",
    "(none)",
    "(not set)",
    "(null)",
    "<null>",
    "\\n",
    "anonymous",
    "false",
    "missing",
    "n/a",
    "na",
    "nan",
    "nil",
    "none",
    "null",
    "null@null",
    "true",
    "undefined",
    "unknown",
];

/// The length of the longest placeholder.
const MAX_PLACEHOLDER_BYTES: usize = 9;

/// The beginning of the text that JavaScript makes of an object.
const OBJECT: &str = "[object ";

/// The maximum number of quoted characters of an identity.
const MAX_QUOTED_CHARACTERS: usize = 60;

/// Returns whether the batch has an identity of a user or a device that is no placeholder.
#[cfg(test)]
pub(crate) fn has_identity(batch: &Value) -> bool {
    let found = super::rules::check(batch, chrono::Utc::now(), &super::known_fields::OF_DOCUMENT);
    found.iter().all(|found| found.code != Code::NoIdentity)
}

/// Reports an identity that is a placeholder or has blanks around it. Returns whether it identifies a user or a device.
pub(super) fn check_identity(at: &JsonPointer<'_>, value: &Value, found: &mut Vec<Diagnostic>) -> bool {
    let mut placeholder = |value: &str| {
        let message = format!("{value} is a placeholder; the service makes one user of all users with this identity");
        found.push(Diagnostic::new(Code::PlaceholderIdentity, at.to_string(), message));
        false
    };
    match value {
        Value::Null => false,
        Value::String(text) => {
            let trimmed = text.trim_matches(is_blank);
            if is_placeholder(trimmed) {
                let quoted: String = trimmed.chars().take(MAX_QUOTED_CHARACTERS).collect();
                return placeholder(&Value::from(quoted).to_string());
            }
            if trimmed.len() != text.len() {
                let message = "white space around an identity; for the service it is a part of the identity";
                found.push(Diagnostic::new(Code::IdentityBlanks, at.to_string(), message));
            }
            true
        }
        Value::Number(number) if number.as_f64() == Some(0.0) => placeholder("0"),
        _ => true,
    }
}

/// Returns whether a field identifies a device. Fields of custom documents do if their names end like those of the known ones.
pub(crate) fn identifies_device(field: &str) -> bool {
    DEVICE_IDENTITIES.contains(&field) || field.ends_with("_id") || field.ends_with("_uuid")
}

/// Returns whether a character is invisible at the ends of a text. Two of them are no white space in Unicode.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\0' | '\u{200b}' | '\u{feff}')
}

fn is_placeholder(text: &str) -> bool {
    if text.len() <= MAX_PLACEHOLDER_BYTES && PLACEHOLDERS.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        return true;
    }
    text.get(..OBJECT.len()).is_some_and(|start| start.eq_ignore_ascii_case(OBJECT)) || is_zero_uuid(text)
}

/// Returns whether the text is a UUID of zeros, with or without hyphens and braces.
fn is_zero_uuid(text: &str) -> bool {
    const DIGITS: usize = 32;
    text.len() >= DIGITS
        && text.bytes().all(|byte| matches!(byte, b'0' | b'-' | b'{' | b'}'))
        && text.bytes().filter(|byte| *byte == b'0').count() == DIGITS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_ids_identify_a_device() {
        for name in DEVICE_IDENTITIES.into_iter().chain(["vision_advertising_id", "meta_uuid"]) {
            assert!(has_identity(&json!({ "device_info": { name: "1" } })), "{name}");
            assert!(!has_identity(&json!({ "device_info": { name: null } })), "{name}");
        }
        for name in ["brand", "build_identifier", "os_version", "push_token"] {
            assert!(!has_identity(&json!({ "device_info": { name: "1" } })), "{name}");
        }
    }

    #[test]
    fn placeholders_are_found_in_any_case_and_with_blanks() {
        let zeros = "00000000-0000-0000-0000-000000000000";
        let braced = format!("{{{zeros}}}");
        let plain = "0".repeat(32);
        for text in PLACEHOLDERS.into_iter().chain([
            "  ",
            "\t\n",
            "\u{a0}",
            "\u{feff}",
            "NULL",
            " null ",
            "Undefined",
            "None",
            "NaN",
            "[object Object]",
            "[Object object]",
            "[object Undefined]",
            "N/A",
            "Unknown",
            zeros,
            &braced,
            &plain,
        ]) {
            assert!(is_placeholder(text.trim_matches(is_blank)), "{text:?}");
        }
        for text in [
            "0",
            "1",
            "nullable",
            "Nunez",
            "nan@shop.example",
            "unknown@shop.example",
            "object",
            "[object",
            "none-1",
            "00000000-0000-0000-0000-000000000001",
            "0000",
            "é",
            "null null",
        ] {
            assert!(!is_placeholder(text), "{text:?}");
        }
        let longest = PLACEHOLDERS.iter().map(|known| known.len()).max();
        assert_eq!(longest, Some(MAX_PLACEHOLDER_BYTES));
    }
}
