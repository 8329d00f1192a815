//! Fixes: applied where they are unambiguous, and safe on any bytes.

use proptest::prelude::*;

use crate::input::{FilePosition, FixedBatch, Frame, FrameReader, Validator, fix_batch};

const START: FilePosition = FilePosition { offset: 0, line: 1, column: 1 };

fn fixed(text: &str) -> (String, Vec<String>) {
    let FixedBatch { text, changes, .. } = fix_batch(&Validator::default(), text.as_bytes().to_vec(), START);
    (String::from_utf8(text).expect("UTF-8"), changes.iter().map(ToString::to_string).collect())
}

#[test]
fn applies_unambiguous_fixes() {
    let with = |rest: &str| format!(r#"{{"environment":"production","mpid":1,{rest}}}"#);
    let table: &[(&str, &str, &[&str])] = &[
        (
            r#""user_identities":{ "customerid" : "1" }"#,
            r#""user_identities":{ "customer_id" : "1" }"#,
            &[r#"1:58  /user_identities/customerid  renamed to "customer_id""#],
        ),
        // The type error of the value shows only after the rename. Positions are those of the input.
        (
            r#""useridentities":{"customerid":12345678901234567890},"ip":null"#,
            r#""user_identities":{"customer_id":"12345678901234567890"},"ip":null"#,
            &[
                r#"1:38  /useridentities  renamed to "user_identities""#,
                r#"1:56  /user_identities/customerid  renamed to "customer_id""#,
                "1:69  /user_identities/customer_id  12345678901234567890 quoted",
            ],
        ),
        // Two misspellings of one name, and one whose correct name exists already.
        (
            r#""user_identities":{"customerid":"1","customer-id":"2"}"#,
            r#""user_identities":{"customer_id":"1","customer-id":"2"}"#,
            &[r#"1:57  /user_identities/customerid  renamed to "customer_id""#],
        ),
        (
            r#""user_identities":{"customer_id":"1","CustomerId":"2"}"#,
            r#""user_identities":{"customer_id":"1","CustomerId":"2"}"#,
            &[],
        ),
        (
            r#""user_attributes":{"a":[null, 1, null,true , "x", 1e3 ,null]},"nothing":null"#,
            r#""user_attributes":{"a":["1", "true" , "x", "1e3" ]}"#,
            &[
                "1:62  /user_attributes/a/0  null removed",
                "1:68  /user_attributes/a/1  1 quoted",
                "1:71  /user_attributes/a/2  null removed",
                "1:76  /user_attributes/a/3  true quoted",
                "1:88  /user_attributes/a/5  1e3 quoted",
                "1:92  /user_attributes/a/6  null removed",
                "1:99  /nothing  null removed",
            ],
        ),
        (
            r#""user_attributes":{"a":[null]}"#,
            r#""user_attributes":{"a":[]}"#,
            &["1:62  /user_attributes/a/0  null removed"],
        ),
        (
            r#""events":[{"event_type":"first_run","data":{"timestamp_unixtime_ms":1523039002}}]"#,
            r#""events":[{"event_type":"first_run","data":{"timestamp_unixtime_ms":1523039002000}}]"#,
            &[
                "1:106  /events/0/data/timestamp_unixtime_ms  1523039002 seconds converted to 1523039002000 milliseconds",
            ],
        ),
        // Escapes, and a valid name that looks like another.
        (
            r#""user_identities":{"customer\u0069d":"\ud83d\ude00","ios_idfa":"x"}"#,
            r#""user_identities":{"customer_id":"\ud83d\ude00","ios_idfa":"x"}"#,
            &[r#"1:57  /user_identities/customerid  renamed to "customer_id""#],
        ),
        // Ambiguous problems stay.
        (
            r#""environmnet":1,"ip":7,"batch_id":"x","events":{}, "user_attributes":{"a":{}}"#,
            r#""environmnet":1,"ip":7,"batch_id":"x","events":{}, "user_attributes":{"a":{}}"#,
            &[],
        ),
        // A text that is a number, seconds in it, floats, and the case of a fixed value.
        (
            r#""events":[{"event_type":"First-Run","data":{"timestamp_unixtime_ms": "1523039002" ,"event_num":7e2}}]"#,
            r#""events":[{"event_type":"first_run","data":{"timestamp_unixtime_ms": 1523039002000 ,"event_num":700}}]"#,
            &[
                r#"1:62  /events/0/event_type  "First-Run" replaced by "first_run""#,
                r#"1:107  /events/0/data/timestamp_unixtime_ms  "1523039002" replaced by 1523039002"#,
                "1:133  /events/0/data/event_num  7e2 replaced by 700",
                "1:107  /events/0/data/timestamp_unixtime_ms  1523039002 seconds converted to 1523039002000 milliseconds",
            ],
        ),
        // No identity is made of a number that can have lost digits, nor of a boolean.
        (
            r#""user_identities":{"customer_id":4711.0,"email":7.346e+18,"other":true,"alias":9007199254740993}"#,
            r#""user_identities":{"customer_id":"4711","email":7.346e+18,"other":true,"alias":"9007199254740993"}"#,
            &[
                r#"1:71  /user_identities/customer_id  4711.0 replaced by "4711""#,
                "1:117  /user_identities/alias  9007199254740993 quoted",
            ],
        ),
    ];
    for (rest, expected, changes) in table {
        let (text, fixes) = fixed(&with(rest));
        assert_eq!(
            (text.as_str(), fixes),
            (with(expected).as_str(), changes.iter().map(ToString::to_string).collect())
        );
    }
}

#[test]
fn keeps_invalid_json_and_joins_lines_of_valid_json() {
    for text in ["{\"environment\":", "{\"a\":1,\"a\":1}", "", "\u{0}"] {
        assert_eq!(fixed(text), (text.into(), vec![]), "{text:?}");
    }
    assert_eq!(
        fixed("{\n  \"mpid\": \"a\n b\"}").0,
        "{\n  \"mpid\": \"a\n b\"}",
        "a line break in a string is not JSON"
    );
    let (text, fixes) =
        fixed("{\r\n  \"environment\": \"production\",\r\n  \"mpid\": 1, \"user_identities\": {\n\"email\": 5 } }");
    assert_eq!(text, r#"{  "environment": "production",  "mpid": 1, "user_identities": {"email": "5" } }"#);
    assert_eq!(fixes, ["4:10  /user_identities/email  5 quoted"]);
}

#[test]
fn fixes_more_problems_than_are_listed() {
    let list = |entry: &str| vec![entry; 1_100].join(",");
    let with =
        |entry: &str| format!(r#"{{"environment":"production","mpid":1,"user_attributes":{{"a":[{}]}}}}"#, list(entry));
    let (text, fixes) = fixed(&with("1"));
    assert_eq!((text, fixes.len()), (with("\"1\""), 1_100));
}

/// Members of a batch, each before and after fixing.
const MEMBERS: [(&str, &str); 15] = [
    (r#""user_identities":{"customerid":"1","email":"a@b"}"#, r#""user_identities":{"customer_id":"1","email":"a@b"}"#),
    (
        r#""user_attributes":{"a":9007199254740993,"b":[1.50,null]}"#,
        r#""user_attributes":{"a":9007199254740993,"b":["1.50"]}"#,
    ),
    (r#""batch_id":-9223372036854775808"#, r#""batch_id":-9223372036854775808"#),
    (r#""mpid":9223372036854775807"#, r#""mpid":9223372036854775807"#),
    (r#""ip" : null"#, r#""ip" : null"#),
    (r#""nonsense":null"#, ""),
    (r#""other nonsense":{"a":1e999999999999}"#, r#""other nonsense":{"a":1e999999999999}"#),
    (r#""partner_identities":{"p":null,"q":1}"#, r#""partner_identities":{"q":"1"}"#),
    (r#""timestamp_unixtime_ms":1523039002"#, r#""timestamp_unixtime_ms":1523039002000"#),
    (r#""deleted_user_attributes":[null,null,"x",false]"#, r#""deleted_user_attributes":["x","false"]"#),
    (r#""application_info":{"package":5,"os":7}"#, r#""application_info":{"package":"5","os":7}"#),
    (r#""eventz":[]"#, r#""eventz":[]"#),
    (
        r#""events":[null,{"event_type":"screen_view","data":{"screenName":1}}]"#,
        r#""events":[{"event_type":"screen_view","data":{"screen_name":"1"}}]"#,
    ),
    (
        r#""device_info":{"is_tablet":"no","brand":"日本\u0000"}"#,
        r#""device_info":{"is_tablet":"no","brand":"日本\u0000"}"#,
    ),
    (r#""apiKey":true"#, r#""api_key":"true""#),
];

fn batch() -> impl Strategy<Value = (String, String)> {
    let order = Just(MEMBERS.to_vec()).prop_shuffle();
    (order, 0..=MEMBERS.len(), prop::bool::ANY).prop_map(|(members, count, with_number)| {
        let chosen: Vec<_> =
            members.into_iter().take(count).filter(|(text, _)| with_number || !text.contains("e9999")).collect();
        let join =
            |texts: Vec<&str>| format!("{{{}}}", [vec!["\"environment\":\"production\""], texts].concat().join(","));
        let original_offset = join(chosen.iter().map(|(text, _)| *text).collect());
        let after = join(chosen.iter().map(|(_, text)| *text).filter(|text| !text.is_empty()).collect());
        // With a number out of range, the text is not valid JSON and stays as it is.
        if original_offset.contains("e9999") {
            (original_offset.clone(), original_offset)
        } else {
            (original_offset, after)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn fixes_are_minimal_and_idempotent((original_offset, after) in batch()) {
        let (text, fixes) = fixed(&original_offset);
        prop_assert_eq!(&text, &after);
        prop_assert_eq!(fixes.is_empty(), original_offset == after);
        prop_assert_eq!(fixed(&text), (text.clone(), vec![]), "fixed twice");
        if let Some((_, fixes)) = Validator::default().fixes(text.as_bytes()) {
            prop_assert!(fixes.is_empty(), "{:?}", fixes);
        }
    }

    #[test]
    fn accepts_any_bytes(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop::sample::select(br#"{}[]",:\ 0123eE.-truefalsn"#.to_vec()), 0..200),
        batch().prop_flat_map(|(text, _)| (Just(text.into_bytes()), any::<prop::sample::Index>(), any::<u8>()))
            .prop_map(|(mut bytes, at, byte)| { let at = at.index(bytes.len()); bytes[at] = byte; bytes }),
    ]) {
        for frame in FrameReader::new(bytes.as_slice()).expect("memory") {
            let frame = frame.expect("memory");
            if let Frame::Value { position, text, .. } | Frame::Text { position, text } = &frame {
                let fixed = fix_batch(&Validator::default(), text.clone(), *position);
                prop_assert!(!fixed.has_more);
            }
            let checked = Validator::default().check(frame);
            for diagnostic in &checked.diagnostics {
                prop_assert!(diagnostic.range.end <= checked.text.len());
                super::excerpt::excerpt(&checked.text, diagnostic.range.clone());
            }
        }
    }
}
