//! Descriptions of schemas and values for messages.

use serde_json::Value;

/// The maximum number of quoted characters of a value.
const MAX_QUOTED_CHARACTERS: usize = 60;

const INT32_MIN: i64 = i32::MIN as i64;
const INT32_MAX: i64 = i32::MAX as i64;

/// Describes the values that a schema allows: `text`, `a whole number`, `"view" or "click"`.
pub(super) fn describe_schema(schema: &Value) -> String {
    if let Some(branches) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let mut alternatives: Vec<_> =
            branches.iter().filter(|branch| branch["type"] != "null").map(describe_schema).collect();
        // A number can be a whole number.
        if alternatives.iter().any(|alternative| alternative == "a number") {
            alternatives.retain(|alternative| !alternative.starts_with("a whole number"));
        }
        return join_alternatives(&alternatives);
    }
    if let Some(values) = schema["enum"].as_array() {
        // A null among other values stands for absent, and is not worth mentioning.
        let values = values.iter().filter(|value| values.len() == 1 || !value.is_null());
        return join_alternatives(&values.map(Value::to_string).collect::<Vec<_>>());
    }
    let text = |name: &str| schema[name].as_str();
    match type_name(schema) {
        Some("string") => match (text("format"), text("pattern")) {
            (Some("uuid"), _) => "a UUID".into(),
            (Some("ip"), _) => "an IP address".into(),
            (Some("ipv4"), _) => "an IPv4 address".into(),
            (Some("ipv6"), _) => "an IPv6 address".into(),
            (_, Some(pattern)) => format!("text that matches {pattern}"),
            _ => "text".into(),
        },
        Some("integer") => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
            (Some(i64::MIN), Some(i64::MAX)) => "a whole number of 64 bits".into(),
            (Some(INT32_MIN), Some(INT32_MAX)) => "a whole number of 32 bits".into(),
            (Some(minimum), Some(maximum)) => format!("a whole number from {minimum} to {maximum}"),
            (Some(minimum), None) => format!("a whole number from {minimum}"),
            _ => "a whole number".into(),
        },
        Some("number") => "a number".into(),
        Some("boolean") => "true or false".into(),
        Some("object") => "an object".into(),
        Some("array") => "a list".into(),
        _ => "something else".into(),
    }
}

/// Returns the type of a schema. A second type is the null that stands for absent.
pub(super) fn type_name(schema: &Value) -> Option<&str> {
    schema["type"].as_str().or(schema["type"][0].as_str())
}

/// Returns whether the type of a value is that of a schema.
pub(super) fn matches_type(schema: &Value, value: &Value) -> bool {
    match type_name(schema) {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        _ => false,
    }
}

/// Describes a value: scalars as shortened JSON, and only the type of others.
pub(super) fn describe_value(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".into(),
        Value::Array(_) => "a list".into(),
        Value::String(text) => quote(text),
        scalar => scalar.to_string(),
    }
}

/// Returns a text as JSON, truncated to [`MAX_QUOTED_CHARACTERS`].
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARACTERS) {
        None => Value::from(text).to_string(),
        Some((end, _)) => Value::from(format!("{}…", &text[..end])).to_string(),
    }
}

/// Joins alternatives: `a`, `a or b`, `a, b or c`.
fn join_alternatives(alternatives: &[String]) -> String {
    match alternatives {
        [] => "nothing".into(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Returns whether a schema, or one of its branches, allows any text.
pub(super) fn accepts_any_text(schema: &Value) -> bool {
    match schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        Some(branches) => branches.iter().any(accepts_any_text),
        None => {
            type_name(schema) == Some("string")
                && ["enum", "format", "pattern"].iter().all(|word| schema[word].is_null())
        }
    }
}

/// The maximum size of a name that is compared with known names, which are all shorter: the cost grows with both lengths.
const MAX_COMPARED_BYTES: usize = 80;

/// Returns a name without the separators and the capitalisation of its words.
pub(super) fn normalize(name: &str) -> String {
    name.replace(['_', '-', ' '], "").to_lowercase()
}

/// Returns the most similar known name, if one is similar enough.
pub(super) fn find_similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let known: Vec<_> = known.into_iter().map(|name| (normalize(name), name)).collect();
    let wanted = normalize(name);
    let allowed = (wanted.chars().count() / 3).max(1);
    // A third of the letters may differ. Another number is another field, unless no field has the number.
    let near = known.iter().filter_map(|(known, name)| {
        let distance = strsim::damerau_levenshtein(&wanted, known);
        (distance <= allowed).then(|| (!has_same_digits(&wanted, known), distance, *name))
    });
    near.min().map(|(_, _, name)| name).or_else(|| find_by_words(name, &known))
}

/// Returns the only known name that has all words of the name in the beginning, such as `mobile_number` for `mobile`, or else the
/// one to which the name adds one word, such as `email` for `email_address`. Both have the same number.
fn find_by_words<'a>(name: &str, known: &[(String, &'a str)]) -> Option<&'a str> {
    let wanted = words(name);
    let of_name = |(normalized, known): &(String, &'a str)| {
        (normalized.chars().count() >= MIN_CHARACTERS).then(|| (words(known), *known))
    };
    let known: Vec<_> = known.iter().filter_map(of_name).collect();
    let mut longer = known.iter().filter(|(known, _)| starts_with(known, &wanted));
    if let (Some((_, only)), None) = (longer.next(), longer.next()) {
        return Some(only);
    }
    let mut shorter = known.iter().filter(|(known, _)| known.len() + 1 == wanted.len() && starts_with(&wanted, known));
    shorter.next().map(|(_, name)| *name)
}

/// Returns the words of a name, in lower case. A number is a word.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for character in name.chars() {
        let is_start = !before.is_alphanumeric()
            || before.is_lowercase() && character.is_uppercase()
            || before.is_ascii_digit() != character.is_ascii_digit();
        if character.is_alphanumeric() {
            if is_start {
                words.push(String::new());
            }
            words.last_mut().into_iter().for_each(|word| word.extend(character.to_lowercase()));
        }
        before = character;
    }
    words
}

/// Returns whether the words of a name, apart from its number, begin with those of another one that has the same number.
fn starts_with(name: &[String], start: &[String]) -> bool {
    let is_number = |word: &&String| word.starts_with(|letter: char| letter.is_ascii_digit());
    let split =
        |words: &[String]| -> (Vec<String>, Vec<String>) { words.iter().cloned().partition(|word| is_number(&word)) };
    let ((numbers, name), (start_numbers, start)) = (split(name), split(start));
    !start.is_empty() && numbers == start_numbers && name.starts_with(&start)
}

fn digits(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(char::is_ascii_digit)
}

fn has_same_digits(name: &str, other: &str) -> bool {
    digits(name).eq(digits(other))
}

/// Returns the only known name that was certainly meant: the same name with other separators or capitalisation, one with a typing
/// error, or a numbered one without its `id`.
///
/// A similar name is not enough: `ios_idfa` does not mean `ios_idfv`, nor `other_id_1` `other_id_2`.
pub(super) fn find_misspelled<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let wanted = normalize(name);
    let mut typos = Vec::new();
    for name in known {
        let known = normalize(name);
        if known == wanted {
            return Some(name);
        }
        if is_typo(&wanted, &known) || is_without_id(&wanted, &known) {
            typos.push(name);
        }
    }
    if let [only] = typos[..] { Some(only) } else { None }
}

/// Returns whether a name is a numbered one without its `id`: `other5` is `other_id_5`.
fn is_without_id(name: &str, known: &str) -> bool {
    let number = known.len() - digits(known).count();
    let (letters, number) = known.split_at_checked(number).unwrap_or((known, ""));
    let letters = letters.strip_suffix("id");
    !number.is_empty() && letters.is_some_and(|letters| name.strip_suffix(number) == Some(letters))
}

/// The minimum length of a name that is compared with another one by its letters. Shorter names, such as `ip`, are too ambiguous.
const MIN_CHARACTERS: usize = 5;

/// Returns whether one letter is missing, added, or swapped with its neighbour.
fn is_typo(name: &str, known: &str) -> bool {
    let letters = |name: &str| {
        let mut letters: Vec<_> = name.chars().collect();
        letters.sort_unstable();
        letters
    };
    let (ours, theirs) = (letters(name), letters(known));
    ours.len().min(theirs.len()) >= MIN_CHARACTERS
        && (ours.len() != theirs.len() || ours == theirs)
        && has_same_digits(name, known)
        && strsim::damerau_levenshtein(name, known) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_similar_names() {
        let known = ["customer_id", "email", "other", "other_id_2", "other_id_3"];
        let table = [
            ("customerid", Some("customer_id")),
            ("CustomerId", Some("customer_id")),
            ("customer-id", Some("customer_id")),
            ("cutsomer_id", Some("customer_id")),
            ("e_mail", Some("email")),
            ("emial", Some("email")),
            ("othr", Some("other")),
            ("other_id_4", Some("other_id_2")),
            ("other3", Some("other_id_3")),
            ("other_3", Some("other_id_3")),
            ("email_address", Some("email")),
            ("primaryEmail", None),
            ("customer", Some("customer_id")),
            ("name", None),
            ("x", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(find_similar(name, known), expected, "{name}");
        }
        assert_eq!(find_similar(&"customer_id".repeat(10_000), known), None);
        assert_eq!(find_similar("anything", []), None);
    }

    #[test]
    fn finds_misspelled_name_only_if_it_is_unambiguous() {
        let known =
            ["customer_id", "email", "ios_idfv", "ip", "other", "other_id_2", "android_uuid", "batch_is", "batch_it"];
        let table = [
            ("customerid", Some("customer_id")),
            ("Customer-ID", Some("customer_id")),
            ("cutsomer_id", Some("customer_id")),
            ("custmer_id", Some("customer_id")),
            ("customers_id", Some("customer_id")),
            ("emial", Some("email")),
            ("OtherId2", Some("other_id_2")),
            ("other2", Some("other_id_2")),
            ("other-2", Some("other_id_2")),
            // Similar, but another name.
            ("other3", None),
            ("email2", None),
            ("ios_idfa", None),
            ("android_id", None),
            ("other_id_1", None),
            ("other_id_22", None),
            ("zip", None),
            ("othr", None),
            // Equally similar to two names.
            ("batch_i", None),
        ];
        for (name, expected) in table {
            assert_eq!(find_misspelled(name, known), expected, "{name}");
        }
        assert_eq!(find_misspelled(&"x".repeat(10_000), known), None);
    }

    #[test]
    fn similar_name_has_the_same_number() {
        let known = ["other", "other_id_2", "other_id_5", "phone_number_2", "phone_number_3", "mobile_number"];
        let table = [
            ("other5", Some("other_id_5")),
            ("Other 5", Some("other_id_5")),
            ("phone2", Some("phone_number_2")),
            ("phoneNo3", None),
            ("phone", None),
            ("mobile", Some("mobile_number")),
            ("mobileNumberHome", Some("mobile_number")),
        ];
        for (name, expected) in table {
            assert_eq!(find_similar(name, known), expected, "{name}");
        }
    }

    #[test]
    fn quote_truncates_long_text_between_characters() {
        assert_eq!(quote(&"é".repeat(60)), format!("\"{}\"", "é".repeat(60)));
        assert_eq!(quote(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
        assert_eq!(quote("a\"\n"), r#""a\"\n""#);
    }
}
