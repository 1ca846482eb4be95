//! Reading `WWW-Authenticate`: what a registry wants before it answers.

/// The longest header line looked at.
const MAX_HEADER: usize = 8 * 1024;
/// How many challenges of one answer are looked at.
const MAX_CHALLENGES: usize = 8;
/// How many scopes of one challenge are asked for.
const MAX_SCOPES: usize = 8;

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token from a token service.
    Bearer(Bearer),
    /// User name and password with each request.
    Basic,
}

/// Where a token is to be had, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scopes: Vec<String>,
}

/// The challenges we can answer, in the order sent. A line may hold several, and a quoted value may hold commas.
pub(crate) fn challenges<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    lines
        .filter(|line| line.len() <= MAX_HEADER)
        .flat_map(|line| schemes(line).into_iter().filter_map(understood))
        .take(MAX_CHALLENGES)
        .collect()
}

/// A scheme's name with its parameters, names in lower case.
struct Scheme {
    name: String,
    params: Vec<(String, String)>,
}

fn understood(scheme: Scheme) -> Option<Challenge> {
    if scheme.name.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.name.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut bearer = Bearer::default();
    for (name, value) in scheme.params {
        match name.as_str() {
            "realm" => bearer.realm = value,
            "service" => bearer.service = Some(value),
            "scope" => bearer.scopes.extend(value.split_whitespace().take(MAX_SCOPES).map(str::to_owned)),
            _ => {}
        }
    }
    (!bearer.realm.is_empty()).then_some(Challenge::Bearer(bearer))
}

/// Splits a line. A word followed by `=` is a parameter of the scheme before it, any other word begins a scheme.
fn schemes(line: &str) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        let end = rest.find(|c: char| c == ',' || c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after_space = after.trim_start();
        if let Some(value_on) = after_space.strip_prefix('=') {
            let (value, after_value) = value(value_on.trim_start());
            if let Some(scheme) = found.last_mut() {
                scheme.params.push((word.to_ascii_lowercase(), value));
            }
            rest = after_value;
        } else if word.is_empty() {
            return found;
        } else {
            found.push(Scheme { name: word.to_owned(), params: Vec::new() });
            rest = after;
        }
    }
}

/// A quoted string with its escapes undone, or a bare word; and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (word.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        })
    }

    #[test]
    fn reads_what_registries_send() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#;
        assert_eq!(
            challenges([docker].into_iter()),
            [bearer("https://auth.docker.io/token", Some("registry.docker.io"), &["repository:library/nginx:pull"])]
        );
        assert_eq!(challenges(["Basic realm=\"Registry Realm\""].into_iter()), [Challenge::Basic]);
        assert_eq!(challenges(["bearer REALM=https://a/t"].into_iter()), [bearer("https://a/t", None, &[])]);
    }

    #[test]
    fn several_challenges_and_quoted_commas() {
        let line = r#"Negotiate, Bearer realm="https://a/t" , scope="repository:x:pull,push repository:y:pull", error="a \"b\", c", Basic realm="x, y""#;
        assert_eq!(
            challenges([line, "Basic"].into_iter()),
            [
                bearer("https://a/t", None, &["repository:x:pull,push", "repository:y:pull"]),
                Challenge::Basic,
                Challenge::Basic
            ]
        );
    }

    #[test]
    fn what_cannot_be_answered_is_left_out() {
        for line in ["", ",,,", "Bearer", "Bearer realm=\"\"", "Negotiate abc==", "realm=\"x\"", "Bearer realm=\"open"]
        {
            let found = challenges([line].into_iter());
            assert!(found.is_empty() || line.ends_with("open"), "{line}: {found:?}");
        }
        assert!(challenges([format!("Basic {}", "x".repeat(10_000)).as_str()].into_iter()).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-zB=\", \\\\ä]{0,60}") {
            let _ = challenges([text.as_str()].into_iter());
        }
    }
}
