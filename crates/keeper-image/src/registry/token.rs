//! Tokens: reading what a token service answers, and keeping them until shortly before they expire.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::challenge::Bearer;

/// How long a token lives when its service does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest we keep one, whatever its service says.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);
/// A token is given up this long before its end: it has to survive the request.
const MARGIN: Duration = Duration::from_secs(5);
/// The longest token believed; headers have limits.
const MAX_TOKEN: usize = 16 * 1024;
/// How many tokens are kept.
const MAX_TOKENS: usize = 4096;

/// Whose token for what: one account's token is never used for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    pub(crate) bearer: Bearer,
    pub(crate) account: Option<[u8; 32]>,
}

/// A token and how long it may be kept.
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) keep: Duration,
}

/// The tokens at hand.
#[derive(Default)]
pub(crate) struct TokenCache {
    kept: Mutex<HashMap<TokenKey, (String, Instant)>>,
}

impl TokenCache {
    pub(crate) fn get(&self, key: &TokenKey) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = kept.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    pub(crate) fn put(&self, key: TokenKey, token: Token) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_TOKENS {
            kept.retain(|_, (_, until)| now < *until);
        }
        if kept.len() < MAX_TOKENS && !token.keep.is_zero() {
            kept.insert(key, (token.value, now + token.keep));
        }
    }

    pub(crate) fn forget(&self, key: &TokenKey) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Reads a token service's answer. Both names of the token occur in the wild; `None` for anything without one.
pub(crate) fn read_token(body: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<serde_json::Number>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let value = answer.token.filter(|token| !token.is_empty()).or(answer.access_token)?;
    let visible = value.bytes().all(|b| b.is_ascii_graphic());
    if value.is_empty() || value.len() > MAX_TOKEN || !visible {
        return None;
    }
    let life = answer
        .expires_in
        .and_then(|seconds| seconds.as_f64())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(DEFAULT_LIFE)
        .min(LONGEST_LIFE);
    let margin = MARGIN.max(life / 10);
    Some(Token { value, keep: life.saturating_sub(margin) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_names_and_the_life() {
        let kept = |json: &str| read_token(json.as_bytes()).map(|token| (token.value, token.keep.as_secs()));
        assert_eq!(kept(r#"{"token": "a"}"#), Some(("a".into(), 54)));
        assert_eq!(kept(r#"{"access_token": "b", "expires_in": 300}"#), Some(("b".into(), 270)));
        assert_eq!(kept(r#"{"token": "", "access_token": "b", "expires_in": 1e12}"#), Some(("b".into(), 3240)));
        assert_eq!(kept(r#"{"token": "a", "expires_in": 3}"#), Some(("a".into(), 0)));
        assert_eq!(kept(r#"{"token": "a", "expires_in": -3}"#), Some(("a".into(), 54)));
        for wrong in ["<html>", "{}", r#"{"token": 5}"#, r#"{"token": "a\nX-Evil: 1"}"#, r#"{"token": ""}"#] {
            assert_eq!(kept(wrong), None, "{wrong}");
        }
        assert_eq!(kept(&format!(r#"{{"token": "{}"}}"#, "x".repeat(20_000))), None);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_kept_per_account_until_they_expire() {
        let cache = TokenCache::default();
        let key = |account| TokenKey { bearer: Bearer::default(), account };
        cache.put(key(None), Token { value: "anonymous".into(), keep: Duration::from_secs(54) });
        cache.put(key(Some([1; 32])), Token { value: "one".into(), keep: Duration::ZERO });
        assert_eq!(cache.get(&key(None)).as_deref(), Some("anonymous"));
        assert_eq!(cache.get(&key(Some([1; 32]))), None);
        tokio::time::advance(Duration::from_secs(55)).await;
        assert_eq!(cache.get(&key(None)), None);
    }
}
