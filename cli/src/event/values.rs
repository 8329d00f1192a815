//! Parsers of argument values: pairs, times, products.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mparticle::types::{AttributeValue, UserAttributeValue};
use mparticle::{CustomEventType, IdentityType, Product};
use serde::de::DeserializeOwned;

use crate::exit::{self, CliError};
use crate::text::printable;

pub type EventAttribute = (String, AttributeValue);
pub type UserAttribute = (String, UserAttributeValue);

/// A choice about a purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConsentAnswer {
    Granted,
    Denied,
}

pub fn custom_event_type_parser() -> impl TypedValueParser<Value = CustomEventType> {
    let names = CustomEventType::ALL.iter().map(CustomEventType::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<CustomEventType>())
}

/// Parses an event attribute.
pub fn parse_attribute(text: &str) -> Result<EventAttribute, String> {
    parse_pair(text, "text, a number, true, false or null")
}

/// Parses a user attribute.
pub fn parse_user_attribute(text: &str) -> Result<UserAttribute, String> {
    parse_pair(text, "text, a number, true, false, null or a list of strings")
}

/// Parses `NAME=TEXT` or `NAME:=JSON`.
fn parse_pair<V: From<String> + DeserializeOwned>(pair: &str, kinds: &str) -> Result<(String, V), String> {
    let (name, value) = split_pair(pair, "NAME=TEXT or NAME:=JSON")?;
    match name.strip_suffix(':') {
        None => Ok((name.to_owned(), V::from(value.to_owned()))),
        Some("") => Err("the name is empty".into()),
        Some(name) => {
            let parsed = serde_json::from_str(value).map_err(|_| format!("expected JSON after :=, one of {kinds}"))?;
            if is_too_long_integer(value) {
                return Err(format!(
                    "{value} would lose digits, since integers have at most 64 bits; send it as text: {name}={value}"
                ));
            }
            Ok((name.to_owned(), parsed))
        }
    }
}

/// Returns whether a JSON value is an integer that no 64-bit integer can represent.
fn is_too_long_integer(json: &str) -> bool {
    let digits = json.trim();
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    digits.bytes().all(|byte| byte.is_ascii_digit()) && json.trim().parse::<i64>().is_err()
}

/// Parses a name or an identity, which must not be blank: the service would store it, for a user whom nobody else is.
pub fn parse_text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err(if text.is_empty() { "it is empty" } else { "it is blank" }.into());
    }
    Ok(text.to_owned())
}

pub fn parse_mpid(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(0) => Err("0 is the ID of no user".into()),
        Ok(mpid) => Ok(mpid),
        Err(_) if is_too_long_integer(text) => Err("an mParticle ID has at most 64 bits".into()),
        Err(_) => Err("expected a whole number".into()),
    }
}

/// Refuses a name that was given twice: only one of the values could be sent.
pub fn check_distinct<'a>(argument: &str, names: impl IntoIterator<Item = &'a str>) -> exit::Result<()> {
    let mut seen = BTreeSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(CliError::usage(format!("{argument} was given twice for \"{}\"", printable(name)))),
        None => Ok(()),
    }
}

pub fn parse_identity(pair: &str) -> Result<(IdentityType, String), String> {
    let (name, identity) = split_pair(pair, "TYPE=ID")?;
    let identity_type =
        name.parse().map_err(|_| "unknown type; use for example customer_id, email, google or other_id_2")?;
    Ok((identity_type, parse_text(identity)?))
}

pub fn parse_consent_answer(pair: &str) -> Result<(String, ConsentAnswer), String> {
    let (purpose, answer) = split_pair(pair, "PURPOSE=granted or PURPOSE=denied")?;
    let answer = match answer {
        "granted" => ConsentAnswer::Granted,
        "denied" => ConsentAnswer::Denied,
        _ => return Err("expected granted or denied".into()),
    };
    Ok((purpose.to_owned(), answer))
}

fn split_pair<'a>(pair: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    pair.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("expected {form}"))
}

pub fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "expected an RFC 3339 time, for example 2026-01-31T12:00:00Z")?;
    Ok(time.to_utc())
}

/// Parses `SKU,NAME[,PRICE[,QUANTITY]]`.
pub fn parse_product(text: &str) -> Result<Product, String> {
    let mut parts = text.split(',');
    let (Some(sku), Some(name)) = (parts.next(), parts.next()) else {
        return Err("expected SKU,NAME,PRICE,QUANTITY".into());
    };
    let part = |what: &str, text| parse_text(text).map_err(|error| error.replacen("it", what, 1));
    let mut product = Product::new(part("the SKU", sku)?, part("the name", name)?);
    if let Some(price) = parts.next() {
        product = product.price(parse_number("price", price)?);
    }
    if let Some(quantity) = parts.next() {
        product = product.quantity(parse_number("quantity", quantity)?);
    }
    if parts.next().is_some() {
        return Err("expected SKU,NAME,PRICE,QUANTITY, without further commas".into());
    }
    Ok(product)
}

/// Parses an amount, such as `12.90`.
pub fn parse_amount(text: &str) -> Result<f64, String> {
    parse_number("amount", text)
}

fn parse_number(name: &str, text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("the {name} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_finite_number() {
        assert_eq!(parse_amount("-12.90"), Ok(-12.9));
        for text in ["1,5", "NaN", "inf", "1e400", "", "12 EUR"] {
            assert_eq!(parse_amount(text), Err("the amount is not a number".into()), "{text}");
        }
        assert!(parse_product("TEA,Assam,1e400").is_err() && parse_product("TEA,Assam,1,NaN").is_err());
    }

    #[test]
    fn parses_text_and_json_attributes() {
        let table = [
            ("plan=pro", "plan", AttributeValue::String("pro".into())),
            ("note=a=b", "note", AttributeValue::String("a=b".into())),
            ("empty=", "empty", AttributeValue::String(String::new())),
            ("age=42", "age", AttributeValue::String("42".into())),
            ("age:=42", "age", AttributeValue::Integer(42)),
            ("most:=9223372036854775807", "most", AttributeValue::Integer(i64::MAX)),
            ("share:=0.5", "share", AttributeValue::Number(0.5)),
            ("paid:=true", "paid", AttributeValue::Boolean(true)),
            ("quoted:=\"42\"", "quoted", AttributeValue::String("42".into())),
            ("nothing:=null", "nothing", AttributeValue::Null),
        ];
        for (text, name, value) in table {
            assert_eq!(parse_attribute(text), Ok((name.to_owned(), value)), "{text}");
        }
        for invalid in ["plan", "=pro", ":=5", "age:=", "age:=4 2", "list:=[\"a\"]", "object:={}", "bare:=word"] {
            assert!(parse_attribute(invalid).is_err(), "{invalid}");
        }
        let list = UserAttributeValue::List(vec!["free".into(), "pro".into()]);
        assert_eq!(parse_user_attribute("plans:=[\"free\",\"pro\"]"), Ok(("plans".into(), list)));
    }

    #[test]
    fn refuses_integers_that_would_lose_digits() {
        for value in ["9223372036854775808", "-9223372036854775809", "123456789012345678901234567890"] {
            let error = parse_attribute(&format!("id:={value}")).expect_err(value);
            assert!(error.contains(&format!("send it as text: id={value}")), "{error}");
        }
        for value in ["9223372036854775807", "-9223372036854775808", "1e30", "0.1234567890123456789"] {
            assert!(parse_attribute(&format!("id:={value}")).is_ok(), "{value}");
        }
        assert_eq!(parse_mpid("-9223372036854775808"), Ok(i64::MIN));
        for invalid in ["0", "-0", "", "1.0", "9223372036854775808", "a"] {
            assert!(parse_mpid(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn parses_products_with_optional_price_and_quantity() {
        assert_eq!(parse_product("T,Tea"), Ok(Product::new("T", "Tea")));
        assert_eq!(parse_product("T,Tea,1.5,2"), Ok(Product::new("T", "Tea").price(1.5).quantity(2.0)));
        for invalid in ["T", "T,Tea,x", "T,Tea,1,x", "T,Tea,1,2,3"] {
            assert!(parse_product(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn accepts_every_type_of_the_document() {
        let document: serde_json::Value = serde_json::from_str(mparticle::contract::DOCUMENT).expect("JSON");
        let types = document["components"]["schemas"]["CustomEventType"]["enum"].as_array().expect("a list");
        let parser = custom_event_type_parser();
        let possible: Vec<_> =
            parser.possible_values().expect("a list").map(|value| value.get_name().to_owned()).collect();
        assert_eq!(types, &possible);
    }
}
