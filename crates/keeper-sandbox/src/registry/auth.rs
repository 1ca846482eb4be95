//! Token authentication: Basic credentials are exchanged for a short-lived token that names what it is good for.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// The `service` of challenges and tokens.
pub(super) const SERVICE: &str = "sandbox-registry";
/// The most tokens remembered.
const TOKENS: usize = 10_000;

/// Who may do what.
#[derive(Clone, Debug)]
pub struct RegistryAuth {
    /// The user that may pull and push.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whether everybody may pull.
    pub anonymous_pull: bool,
    /// How long a token is good.
    pub token_lifetime: Duration,
}

impl RegistryAuth {
    /// One user that may pull and push; anonymous requests get nothing; tokens last a minute.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            anonymous_pull: false,
            token_lifetime: Duration::from_secs(60),
        }
    }

    /// Whether a Basic header is the user's; `None` when there is no header.
    fn knows(&self, authorization: Option<&str>) -> Option<bool> {
        let encoded = authorization?.strip_prefix("Basic ")?;
        let decoded = BASE64_STANDARD.decode(encoded).unwrap_or_default();
        Some(decoded == format!("{}:{}", self.user, self.password).into_bytes())
    }
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    given: HashMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    /// Repository and action.
    grants: Vec<(String, String)>,
    expires: Instant,
}

impl Tokens {
    /// Answers a request for a token: the body, or `None` for wrong credentials. Being granted less than asked is no error here.
    pub(super) fn give(
        &mut self,
        auth: &RegistryAuth,
        authorization: Option<&str>,
        scopes: &[String],
        now: Instant,
    ) -> Option<Value> {
        let known = match auth.knows(authorization) {
            Some(false) => return None,
            Some(true) => true,
            None => false,
        };
        let allowed = |action: &str| known || (action == "pull" && auth.anonymous_pull);
        let asked = scopes.iter().flat_map(|scope| scope.split(' ')).filter_map(|scope| {
            let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
            Some(actions.split(',').map(move |action| (name.to_owned(), action.to_owned())))
        });
        let grants = asked.flatten().filter(|(_, action)| allowed(action)).collect();
        self.given.retain(|_, token| token.expires > now);
        if self.given.len() >= TOKENS {
            self.given.clear();
        }
        let text = hex::encode(rand::random::<[u8; 16]>());
        self.given.insert(text.clone(), Token { grants, expires: now + auth.token_lifetime });
        Some(json!({
            "token": text,
            "access_token": text,
            "expires_in": auth.token_lifetime.as_secs(),
            "issued_at": crate::objects::stamp(jiff::Timestamp::now()),
        }))
    }

    /// Why a request may not be served: the `error` of the challenge, if it has one.
    pub(super) fn refuse(
        &self,
        authorization: Option<&str>,
        name: &str,
        action: &str,
        now: Instant,
    ) -> Option<Option<&'static str>> {
        let Some(token) = authorization.and_then(|text| text.strip_prefix("Bearer ")) else { return Some(None) };
        match self.given.get(token).filter(|token| token.expires > now) {
            None => Some(Some("invalid_token")),
            // The base endpoint asks for any token.
            Some(_) if name.is_empty() => None,
            Some(token) if token.grants.iter().any(|grant| grant.0 == name && grant.1 == action) => None,
            Some(_) => Some(Some("insufficient_scope")),
        }
    }

    pub(super) fn expire_all(&mut self) {
        self.given.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(tokens: &mut Tokens, auth: &RegistryAuth, basic: Option<&str>, scope: &str) -> Option<String> {
        let basic = basic.map(|text| format!("Basic {}", BASE64_STANDARD.encode(text)));
        let body = tokens.give(auth, basic.as_deref(), &[scope.to_owned()], Instant::now())?;
        Some(format!("Bearer {}", body["token"].as_str().unwrap()))
    }

    #[test]
    fn a_token_is_good_for_what_was_asked_and_no_more() {
        let (mut tokens, auth) = (Tokens::default(), RegistryAuth::new("u", "p"));
        let token = ask(&mut tokens, &auth, Some("u:p"), "repository:a/b:pull").unwrap();
        let refused = |name: &str, action: &str| tokens.refuse(Some(&token), name, action, Instant::now());
        assert_eq!(refused("a/b", "pull"), None);
        assert_eq!(refused("a/b", "push"), Some(Some("insufficient_scope")));
        assert_eq!(refused("a/c", "pull"), Some(Some("insufficient_scope")));
        assert_eq!(tokens.refuse(None, "a/b", "pull", Instant::now()), Some(None));
    }

    #[test]
    fn a_token_expires() {
        let (mut tokens, auth) = (Tokens::default(), RegistryAuth::new("u", "p"));
        let token = ask(&mut tokens, &auth, Some("u:p"), "repository:a:pull").unwrap();
        let late = Instant::now() + Duration::from_secs(61);
        assert_eq!(tokens.refuse(Some(&token), "a", "pull", late), Some(Some("invalid_token")));
    }

    #[test]
    fn wrong_credentials_get_nothing_and_nobody_gets_little() {
        let (mut tokens, mut auth) = (Tokens::default(), RegistryAuth::new("u", "p"));
        assert_eq!(ask(&mut tokens, &auth, Some("u:wrong"), "repository:a:pull"), None);
        let nothing = ask(&mut tokens, &auth, None, "repository:a:pull").unwrap();
        assert_eq!(tokens.refuse(Some(&nothing), "a", "pull", Instant::now()), Some(Some("insufficient_scope")));
        auth.anonymous_pull = true;
        let pull = ask(&mut tokens, &auth, None, "repository:a:pull,push").unwrap();
        assert_eq!(tokens.refuse(Some(&pull), "a", "pull", Instant::now()), None);
        assert!(tokens.refuse(Some(&pull), "a", "push", Instant::now()).is_some());
    }
}
