//! The string formats that definitions may name, as far as they are checked here.
//!
//! Book numbers, credit cards, social security numbers, colours, bson identifiers, `mac` and `duration` are taken as they come.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::names;
use super::schema::Schema;

/// Formats of strings that the real server knows.
const KNOWN: [&str; 28] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "date-time",
    "k8s-short-name",
    "k8s-long-name",
    "",
];

/// The schema's format, or nothing when the real server passes over it.
pub(super) fn known(schema: &Schema) -> &str {
    let format = schema.format.as_str();
    let known = match schema.kinds().as_slice() {
        [] | ["string"] | ["integer", "string"] => KNOWN.contains(&format),
        ["integer"] => matches!(format, "int32" | "int64"),
        ["number"] => matches!(format, "float" | "double"),
        _ => false,
    };
    if known { format } else { "" }
}

/// Whether texts are held against the format.
pub(super) fn is_checked(schema: &Schema) -> bool {
    !known(schema).is_empty() && KNOWN.contains(&schema.format.as_str())
}

/// Whether a text has the format; one that is not looked into here fits.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_network(text),
        "uri" => text.starts_with('/') || url::Url::parse(text).is_ok(),
        "email" => text.split_once('@').is_some_and(|(who, place)| !who.is_empty() && !place.is_empty()),
        "hostname" => is_host(text),
        "byte" => BASE64_STANDARD.decode(text).is_ok(),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(text),
        "k8s-short-name" => names::label_faults(text).is_empty(),
        "k8s-long-name" => names::subdomain_faults(text).is_empty(),
        _ => true,
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>()) else { return false };
    bits <= if address.is_ipv4() { 32 } else { 128 }
}

fn is_host(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(inner)
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn is_uuid(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    digits == 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}
