//! Mending: what it changes, what it leaves, and that it never upsets.

use proptest::prelude::*;

use super::fix::{FixedBatch, fix};
use crate::input::{FilePosition, Frame, FrameReader, Validator};

const START: FilePosition = FilePosition { offset: 0, line: 1, column: 1 };

fn fixed(text: &str) -> (String, Vec<String>) {
    let FixedBatch { text, changes, .. } = fix(&Validator::default(), text.as_bytes().to_vec(), START);
    (String::from_utf8(text).expect("UTF-8"), changes.iter().map(ToString::to_string).collect())
}

#[test]
fn what_needs_no_guessing_is_mended() {
    let with = |rest: &str| format!(r#"{{"environment":"production","mpid":1,{rest}}}"#);
    let table: &[(&str, &str, &[&str])] = &[
        (
            r#""user_identities":{ "customerid" : "1" }"#,
            r#""user_identities":{ "customer_id" : "1" }"#,
            &[r#"1:58  /user_identities/customerid  renamed to "customer_id""#],
        ),
        // Its right name was needed to see what is wrong with its value; and the place is that of what was read.
        (
            r#""useridentities":{"customerid":12345678901234567890.10},"ip":null"#,
            r#""user_identities":{"customer_id":"12345678901234567890.10"},"ip":null"#,
            &[
                r#"1:38  /useridentities  renamed to "user_identities""#,
                r#"1:56  /user_identities/customerid  renamed to "customer_id""#,
                "1:69  /user_identities/customer_id  12345678901234567890.10 put into quotes",
            ],
        ),
        // Two that mean the same, and one that is there already.
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
                "1:62  /user_attributes/a/0  null taken away",
                "1:68  /user_attributes/a/1  1 put into quotes",
                "1:71  /user_attributes/a/2  null taken away",
                "1:76  /user_attributes/a/3  true put into quotes",
                "1:88  /user_attributes/a/5  1e3 put into quotes",
                "1:92  /user_attributes/a/6  null taken away",
                "1:99  /nothing  null taken away",
            ],
        ),
        (
            r#""user_attributes":{"a":[null]}"#,
            r#""user_attributes":{"a":[]}"#,
            &["1:62  /user_attributes/a/0  null taken away"],
        ),
        (
            r#""events":[{"event_type":"first_run","data":{"timestamp_unixtime_ms":1523039002}}]"#,
            r#""events":[{"event_type":"first_run","data":{"timestamp_unixtime_ms":1523039002000}}]"#,
            &["1:106  /events/0/data/timestamp_unixtime_ms  1523039002 seconds written as 1523039002000 milliseconds"],
        ),
        // Escapes, and what a name must not be taken for.
        (
            r#""user_identities":{"customer\u0069d":"\ud83d\ude00","ios_idfa":"x"}"#,
            r#""user_identities":{"customer_id":"\ud83d\ude00","ios_idfa":"x"}"#,
            &[r#"1:57  /user_identities/customerid  renamed to "customer_id""#],
        ),
        // What would have to be guessed at stays.
        (
            r#""environmnet":1,"ip":7,"batch_id":"1","events":{}, "user_attributes":{"a":{}}"#,
            r#""environmnet":1,"ip":7,"batch_id":"1","events":{}, "user_attributes":{"a":{}}"#,
            &[],
        ),
    ];
    for (rest, expected, changes) in table {
        let (text, told) = fixed(&with(rest));
        assert_eq!((text.as_str(), told), (with(expected).as_str(), changes.iter().map(ToString::to_string).collect()));
    }
}

#[test]
fn what_is_no_json_stays_and_what_has_several_lines_is_put_on_one() {
    for text in ["{\"environment\":", "{\"a\":1,\"a\":1}", "", "\u{0}"] {
        assert_eq!(fixed(text), (text.into(), vec![]), "{text:?}");
    }
    assert_eq!(fixed("{\n  \"mpid\": \"a\n b\"}").0, "{\n  \"mpid\": \"a\n b\"}", "a line break in a text is no JSON");
    let (text, told) =
        fixed("{\r\n  \"environment\": \"production\",\r\n  \"mpid\": 1, \"user_identities\": {\n\"email\": 5 } }");
    assert_eq!(text, r#"{  "environment": "production",  "mpid": 1, "user_identities": {"email": "5" } }"#);
    assert_eq!(told, ["4:10  /user_identities/email  5 put into quotes"]);
}

#[test]
fn a_batch_that_is_wrong_in_more_places_than_are_listed_is_mended_whole() {
    let list = |entry: &str| vec![entry; 1_100].join(",");
    let with =
        |entry: &str| format!(r#"{{"environment":"production","mpid":1,"user_attributes":{{"a":[{}]}}}}"#, list(entry));
    let (text, told) = fixed(&with("1"));
    assert_eq!((text, told.len()), (with("\"1\""), 1_100));
}

/// Members of a batch, each with what it becomes.
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
        // A number beyond all bounds makes it something else than JSON.
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
    fn only_what_is_wrong_is_changed_and_only_once((original_offset, after) in batch()) {
        let (text, told) = fixed(&original_offset);
        prop_assert_eq!(&text, &after);
        prop_assert_eq!(told.is_empty(), original_offset == after);
        prop_assert_eq!(fixed(&text), (text.clone(), vec![]), "mended twice");
        if let Some((_, fixes)) = Validator::default().fixes(text.as_bytes()) {
            prop_assert!(fixes.is_empty(), "{:?}", fixes);
        }
    }

    #[test]
    fn no_bytes_upset_it(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop::sample::select(br#"{}[]",:\ 0123eE.-truefalsn"#.to_vec()), 0..200),
        batch().prop_flat_map(|(text, _)| (Just(text.into_bytes()), any::<prop::sample::Index>(), any::<u8>()))
            .prop_map(|(mut bytes, at, byte)| { let at = at.index(bytes.len()); bytes[at] = byte; bytes }),
    ]) {
        for frame in FrameReader::new(bytes.as_slice()).expect("memory") {
            let frame = frame.expect("memory");
            if let Frame::Text { position, text } = &frame {
                let fixed = fix(&Validator::default(), text.clone(), *position);
                prop_assert!(!fixed.unfinished);
            }
            let checked = Validator::default().check(frame);
            for fault in &checked.diagnostics {
                prop_assert!(fault.range.end <= checked.text.len());
                super::excerpt::excerpt(&checked.text, fault.range.clone());
            }
        }
    }
}
