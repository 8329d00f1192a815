//! Parses `{"errors":[{"code","message"}]}` from a response body, which may hold anything and may be truncated.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::generated::types::ApiError;

/// The form of a body, as far as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// Empty, or only white space.
    Empty,
    /// A complete JSON document.
    Json,
    /// A truncated JSON document.
    CutOff,
    /// Markup, such as a sign-in page.
    Markup,
    /// Any other text.
    Text,
}

/// The errors that a body lists.
#[derive(Debug)]
pub(super) struct ErrorList {
    pub(super) form: BodyForm,
    /// The body begins like a JSON object.
    pub(super) is_object: bool,
    /// Every complete entry. If the list is truncated or malformed, or not a list, an empty error is added: the service refused
    /// something, and it is unknown what.
    pub(super) errors: Vec<ApiError>,
    /// The list may be in the missing part of the body.
    pub(super) may_follow: bool,
}

impl ErrorList {
    /// Parses a body, or the part of it that was received.
    pub(super) fn parse(mut body: Vec<u8>) -> Self {
        replace_lone_surrogates(&mut body);
        let text = String::from_utf8_lossy(&body);
        let text = trim(&text);
        let form = match text.bytes().next() {
            None => BodyForm::Empty,
            Some(b'<') => BodyForm::Markup,
            Some(_) => match serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.classify()) {
                Ok(_) => BodyForm::Json,
                Err(Category::Eof) => BodyForm::CutOff,
                Err(_) => BodyForm::Text,
            },
        };
        let mut reader = ErrorCollector::default();
        let is_object = text.starts_with('{');
        if is_object {
            // An error ends the parse, and what was read before it counts. It is a data error if `errors` has another form.
            let read = serde_json::Deserializer::from_str(text).deserialize_map(DocumentVisitor(&mut reader));
            if read.is_err_and(|error| error.is_data()) {
                (reader.seen, reader.unfinished) = (true, true);
            }
        }
        if reader.unfinished {
            reader.errors.push(ApiError::with_required("", ""));
        }
        let may_follow = form == BodyForm::CutOff && is_object && !reader.seen;
        Self { form, is_object, errors: reader.errors, may_follow }
    }

    /// Returns whether a body can hold a list of errors if this is its first byte that is not [blank](is_blank).
    pub(super) fn may_begin_with(first: u8) -> bool {
        first == b'{'
    }
}

/// Returns whether a byte can stand before the text of a body: white space, or a part of a byte order mark.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF)
}

/// Removes a byte order mark, and white space at both ends.
fn trim(text: &str) -> &str {
    text.trim_start_matches('\u{FEFF}').trim_matches([' ', '\t', '\r', '\n'])
}

/// The errors read before the document ended or broke.
#[derive(Default)]
struct ErrorCollector {
    errors: Vec<ApiError>,
    /// The value of a member `errors` was reached.
    seen: bool,
    /// The value is incomplete, or is not a list.
    unfinished: bool,
}

/// The members of the document.
struct DocumentVisitor<'a>(&'a mut ErrorCollector);

impl<'de> Visitor<'de> for DocumentVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == "errors" {
                members.next_value_seed(ErrorsSeed(self.0))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The value of `errors`: a list, or null.
struct ErrorsSeed<'a>(&'a mut ErrorCollector);

impl<'de> DeserializeSeed<'de> for ErrorsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ErrorsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of errors")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.0.seen = true;
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        (self.0.seen, self.0.unfinished) = (true, true);
        while let Some(entry) = list.next_element::<&RawValue>()? {
            // An entry that is nested too deeply or holds a number out of range becomes an empty error.
            self.0.errors.push(api_error(&serde_json::from_str(entry.get()).unwrap_or_default()));
        }
        self.0.unfinished = false;
        Ok(())
    }
}

/// Converts an entry, which may lack either member, or be a string.
fn api_error(entry: &Value) -> ApiError {
    let text = |value: &Value| value.as_str().map(decode_entities).unwrap_or_default();
    let message = if entry.is_string() { entry } else { &entry["message"] };
    ApiError::with_required(text(&entry["code"]), text(message))
}

/// Replaces each escaped lone surrogate by the replacement character. Text that is truncated in the middle of an emoji ends
/// with one, and serde_json reads nothing after it.
fn replace_lone_surrogates(body: &mut [u8]) {
    let unit = |bytes: &[u8]| {
        let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(next) = body[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match unit(&body[at..]) {
            Some(0xD800..=0xDBFF) if matches!(unit(&body[at + 6..]), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                body[at + 2..at + 6].copy_from_slice(b"FFFD");
                6
            }
            Some(_) => 6,
            None => 2.min(body.len() - at),
        };
    }
}

/// Decodes HTML entities once: the service escapes the quotes of what it cites.
fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest entity decoded here is `&#1114111;`.
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        if let Some((character, end)) = end.and_then(|end| Some((decode_entity(&rest[1..end])?, end))) {
            decoded.push(character);
            rest = &rest[end + 1..];
        } else {
            decoded.push('&');
            rest = &rest[1..];
        }
    }
    decoded.push_str(rest);
    decoded
}

fn decode_entity(name: &str) -> Option<char> {
    Some(match name {
        "quot" => '"',
        "apos" => '\'',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "nbsp" => '\u{A0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_form_and_the_errors_of_each_body() {
        // The body, its form, the errors as code and message, and whether errors may be in the missing part.
        type Row<'a> = (&'a str, BodyForm, &'a [(&'a str, &'a str)], bool);
        const NONE: (&str, &str) = ("", "");
        let table: [Row<'_>; 41] = [
            ("", BodyForm::Empty, &[], false),
            (" \r\n", BodyForm::Empty, &[], false),
            ("\u{FEFF}", BodyForm::Empty, &[], false),
            ("{}", BodyForm::Json, &[], false),
            ("null", BodyForm::Json, &[], false),
            ("[]", BodyForm::Json, &[], false),
            (r#""accepted""#, BodyForm::Json, &[], false),
            (r#"[{"errors":[{"code":"A"}]}]"#, BodyForm::Json, &[], false),
            ("<html>", BodyForm::Markup, &[], false),
            ("\u{FEFF}\n <!doctype html>", BodyForm::Markup, &[], false),
            ("ok", BodyForm::Text, &[], false),
            ("{oops", BodyForm::Text, &[], false),
            ("[1,2", BodyForm::CutOff, &[], false),
            ("\"half", BodyForm::CutOff, &[], false),
            ("{", BodyForm::CutOff, &[], true),
            (r#"{"a":1,"err"#, BodyForm::CutOff, &[], true),
            (r#"{"errors""#, BodyForm::CutOff, &[], true),
            (r#"{"errors":"#, BodyForm::CutOff, &[], true),
            (r#"{"errors":nul"#, BodyForm::CutOff, &[], true),
            (r#"{"errors":null"#, BodyForm::CutOff, &[], false),
            (r#"{"errors":null}"#, BodyForm::Json, &[], false),
            (r#"{"errors":[]}"#, BodyForm::Json, &[], false),
            ("\u{FEFF}{\"errors\":[]}", BodyForm::Json, &[], false),
            (r#"{"errors":[],"more":"#, BodyForm::CutOff, &[], false),
            (r#"{"errors":["#, BodyForm::CutOff, &[NONE], false),
            (r#"{"errors":[{"#, BodyForm::CutOff, &[NONE], false),
            (r#"{"errors":[{"code":"A","message":"b"}"#, BodyForm::CutOff, &[("A", "b"), NONE], false),
            (r#"{"errors":[{"code":"A","message":"b"},{"code":"#, BodyForm::CutOff, &[("A", "b"), NONE], false),
            (r#"{"errors":[{"code":"A","message":"b"},oops"#, BodyForm::Text, &[("A", "b"), NONE], false),
            (r#"{"errors":[{"code":"A","message":"b"}],oops"#, BodyForm::Text, &[("A", "b")], false),
            (r#"{"errors":[{"code":"A","message":"b"}],"x":"#, BodyForm::CutOff, &[("A", "b")], false),
            (r#"{"errors":[{"code":"A"},{"message":"b"}]}"#, BodyForm::Json, &[("A", ""), ("", "b")], false),
            (r#"{"errors":[{"code":"A","message":"b","more":1}],"x":1}"#, BodyForm::Json, &[("A", "b")], false),
            (r#"{"errors":[1,null,{},{"code":2}]}"#, BodyForm::Json, &[NONE; 4], false),
            (
                r#"{"errors":[{"code":"&lt;A&gt;","message":"&quot;b&quot;"}]}"#,
                BodyForm::Json,
                &[("<A>", "\"b\"")],
                false,
            ),
            (r#"{"errors":["b",["c"]]}"#, BodyForm::Json, &[("", "b"), NONE], false),
            (r#"{"errors":{}}"#, BodyForm::Json, &[NONE], false),
            (r#"{"errors":{"code":"A"}}"#, BodyForm::Json, &[NONE], false),
            (r#"{"errors":"no"}"#, BodyForm::Json, &[NONE], false),
            (r#"{"errors":true}"#, BodyForm::Json, &[NONE], false),
            (r#"{"errors":[{"code":"A"}],"errors":[{"code":"B"}]}"#, BodyForm::Json, &[("A", ""), ("B", "")], false),
        ];
        for (body, form, errors, may_follow) in table {
            let list = ErrorList::parse(body.into());
            let read: Vec<_> = list.errors.iter().map(|error| (error.code.as_str(), error.message.as_str())).collect();
            assert_eq!((list.form, &read[..], list.may_follow), (form, errors, may_follow), "{body}");
        }
    }

    #[test]
    fn invalid_utf_8_does_not_hide_other_errors() {
        let list = ErrorList::parse(b"{\"errors\":[{\"message\":\"caf\xE9\"},{\"message\":\"b\"}]}".to_vec());
        assert_eq!(list.errors.len(), 2);
        assert_eq!(list.errors[0].message, "caf\u{FFFD}");
        let deep = format!(r#"{{"errors":[{{"code":"A"}},{}"#, "[".repeat(10_000));
        assert_eq!(ErrorList::parse(deep.into()).errors.len(), 2);
    }

    #[test]
    fn a_lone_surrogate_hides_neither_its_message_nor_later_errors() {
        // The body, and the messages.
        let table: [(&str, &[&str]); 8] = [
            (r#"{"\ud800":1,"errors":[{"message":"b"}]}"#, &["b"]),
            (r#"{"a":"\udfff","errors":[{"message":"b"}]}"#, &["b"]),
            (r#"{"errors":[{"message":"a\ud83d Path '[1]'"},{"message":"b"}]}"#, &["a\u{FFFD} Path '[1]'", "b"]),
            (r#"{"errors":[{"message":"\uD83D\uD83D\uDE00\uDE00"}]}"#, &["\u{FFFD}\u{1F600}\u{FFFD}"]),
            (r#"{"errors":[{"message":"\ud83d\n\\ud83d\\\ud83d"}]}"#, &["\u{FFFD}\n\\ud83d\\\u{FFFD}"]),
            (r#"{"errors":[{"message":"\u00e9\ud83d\ude00"}]}"#, &["\u{e9}\u{1F600}"]),
            (r#"{"errors":[{"message":"b"},{"message":"\ud83d"#, &["b", ""]),
            (r#"{"errors":[{"message":"b"},{"message":"\"#, &["b", ""]),
        ];
        for (body, messages) in table {
            let list = ErrorList::parse(body.into());
            let read: Vec<_> = list.errors.iter().map(|error| error.message.as_str()).collect();
            assert_eq!(read, messages, "{body}");
        }
    }

    #[test]
    fn an_unreadable_error_counts_and_does_not_hide_the_others() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for unreadable in [r#"{"code":1e999,"message":"a"}"#, &format!(r#"{{"message":"a","x":{deep}}}"#)] {
            let list = ErrorList::parse(format!(r#"{{"errors":[{unreadable},{{"message":"b"}}]}}"#).into());
            let read: Vec<_> = list.errors.iter().map(|error| error.message.as_str()).collect();
            assert_eq!((read, list.form), (vec!["", "b"], BodyForm::Json), "{unreadable}");
        }
    }

    #[test]
    fn entities_are_decoded_once() {
        let table = [
            ("&quot;no-guid&quot; to type 'System.Guid'", "\"no-guid\" to type 'System.Guid'"),
            ("&amp;quot;", "&quot;"),
            ("&#39;[1]&#x27; &lt;&gt;", "'[1]' <>"),
            ("a & b &; &unknown; &#xFFFFFFFF; &#;&#x;", "a & b &; &unknown; &#xFFFFFFFF; &#;&#x;"),
            ("&&quot;é&", "&\"é&"),
            ("&é;", "&é;"),
        ];
        for (text, decoded) in table {
            assert_eq!(decode_entities(text), decoded);
        }
    }
}
