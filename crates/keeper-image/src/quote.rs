//! Foreign text in our messages: quoted, escaped and cut.

/// How many characters of a foreign text a message shows.
const SHOWN: usize = 80;

/// The text in quotes, control characters escaped, cut to 80 characters.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn long_and_odd_text_stays_short_and_visible() {
        assert_eq!(quote("a\nb"), "\"a\\nb\"");
        assert_eq!(quote(&"ä".repeat(200_000)).chars().count(), 83);
    }
}
