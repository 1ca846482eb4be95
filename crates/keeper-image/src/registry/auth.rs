//! Answering a challenge: which account may go where, and fetching tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use url::{Url, form_urlencoded};

use super::challenge::{Bearer, Challenge};
use super::config::RegistryConfig;
use super::credentials::Credential;
use super::error::ResolveError;
use super::token::{TokenCache, TokenKey, read_token};
use super::transport::{Exchange, Transport, authority};
use crate::reference::Reference;
use crate::repository::{Repository, split_port};

/// The longest answer read from a token service.
const MAX_TOKEN_ANSWER: usize = 256 * 1024;
/// How many repositories' challenges are remembered.
const MAX_REMEMBERED: usize = 4096;

/// Knows how each repository wants to be asked, and the tokens for it.
pub(crate) struct Authority {
    config: Arc<RegistryConfig>,
    tokens: TokenCache,
    /// The challenge that worked last, so that the next request needs no refusal first.
    remembered: Mutex<HashMap<Repository, Challenge>>,
}

impl Authority {
    pub(crate) fn new(config: Arc<RegistryConfig>) -> Self {
        Self { config, tokens: TokenCache::default(), remembered: Mutex::default() }
    }

    /// The header that is likely to do, when one is at hand without asking anyone.
    pub(crate) fn at_hand(&self, image: &Reference, account: Option<&Credential>) -> Option<HeaderValue> {
        if let Some(Credential::Token(token)) = account {
            return bearer_header(token);
        }
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        match (remembered.get(image.repository())?, account) {
            (Challenge::Basic, Some(Credential::Password { user, password })) => basic_header(user, password),
            (Challenge::Basic, _) => None,
            (Challenge::Bearer(bearer), _) => {
                let account = self.permitted(image, bearer, account).ok()?;
                bearer_header(&self.tokens.get(&token_key(bearer, account))?)
            }
        }
    }

    /// The header that answers one of the challenges. Tokens at hand were just refused, so a new one is fetched.
    pub(crate) async fn answer(
        &self,
        transport: &Transport,
        image: &Reference,
        challenges: Vec<Challenge>,
        account: Option<&Credential>,
    ) -> Result<HeaderValue, ResolveError> {
        let host = image.repository().api_host();
        let mut basic = false;
        for challenge in challenges {
            match challenge {
                Challenge::Basic => basic = true,
                Challenge::Bearer(bearer) => return self.fetch(transport, image, bearer, account).await,
            }
        }
        match account {
            Some(Credential::Password { user, password }) if basic => {
                self.remember(image, Challenge::Basic);
                basic_header(user, password)
                    .ok_or_else(|| ResolveError::denied(image, host, "the password cannot be sent in a header"))
            }
            _ if basic => {
                Err(ResolveError::denied(image, host, "it wants a user name and a password, and we have none"))
            }
            _ => Err(ResolveError::denied(image, host, "it wants credentials of a kind we don't know")),
        }
    }

    /// Fetches a token: anonymously, or for the account when the token service may know it.
    async fn fetch(
        &self,
        transport: &Transport,
        image: &Reference,
        mut bearer: Bearer,
        account: Option<&Credential>,
    ) -> Result<HeaderValue, ResolveError> {
        if bearer.scopes.is_empty() {
            bearer.scopes.push(format!("repository:{}:pull", image.repository().path()));
        }
        let realm = self.realm(image, &bearer)?;
        let account = self.permitted(image, &bearer, account)?;
        let key = token_key(&bearer, account);
        self.tokens.forget(&key);
        let host = authority(&realm);
        let answer = match account {
            Some(Credential::Identity(token)) => exchange_identity(transport, &realm, &bearer, token).await?,
            _ => ask_for_token(transport, &realm, &bearer, account).await?,
        };
        answer.check_pressure()?;
        match answer.status {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                let who = if account.is_some() { "our account" } else { "us without account" };
                let why = format!("its token service {host} refuses {who} with {}", answer.status.as_u16());
                return Err(ResolveError::denied(image, image.repository().api_host(), why));
            }
            status => {
                return Err(ResolveError::garbage(&host, format!("asked for a token it answered {}", status.as_u16())));
            }
        }
        let token =
            read_token(&answer.body).ok_or_else(|| ResolveError::garbage(&host, "its answer holds no token"))?;
        let header =
            bearer_header(&token.value).ok_or_else(|| ResolveError::garbage(&host, "its token is no header"))?;
        self.tokens.put(key, token);
        self.remember(image, Challenge::Bearer(bearer));
        Ok(header)
    }

    /// The token service's address, if it is one we go to at all: HTTPS, or an insecure registry's own.
    fn realm(&self, image: &Reference, bearer: &Bearer) -> Result<Url, ResolveError> {
        let host = image.repository().api_host();
        let realm: Url = bearer
            .realm
            .parse()
            .map_err(|_| ResolveError::garbage(host, "the address of its token service is no URL"))?;
        if !realm.username().is_empty() || realm.password().is_some() {
            return Err(ResolveError::garbage(host, "the address of its token service holds an account"));
        }
        let plain = realm.scheme() == "http";
        if (plain && !self.config.is_insecure(host)) || !(plain || realm.scheme() == "https") {
            let why = format!("its token service {} is not asked over HTTPS", authority(&realm));
            return Err(ResolveError::denied(image, host, why));
        }
        Ok(realm)
    }

    /// The account, if the token service may see it.
    fn permitted<'a>(
        &self,
        image: &Reference,
        bearer: &Bearer,
        account: Option<&'a Credential>,
    ) -> Result<Option<&'a Credential>, ResolveError> {
        let Some(account) = account else { return Ok(None) };
        let host = image.repository().api_host();
        let realm = self.realm(image, bearer)?;
        let realm_host = realm.host_str().unwrap_or_default();
        if self.config.may_receive(split_port(host).0, realm_host) {
            return Ok(Some(account));
        }
        let why = format!(
            "its token service {realm_host} is another host, which may not see our account unless the operator's owner pairs the two"
        );
        Err(ResolveError::denied(image, host, why))
    }

    fn remember(&self, image: &Reference, challenge: Challenge) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(image.repository().clone(), challenge);
    }
}

/// The usual way: GET with service and scopes, the account as Basic credentials.
async fn ask_for_token(
    transport: &Transport,
    realm: &Url,
    bearer: &Bearer,
    account: Option<&Credential>,
) -> Result<Exchange, ResolveError> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = &bearer.service {
            query.append_pair("service", service);
        }
        for scope in &bearer.scopes {
            query.append_pair("scope", scope);
        }
    }
    let basic = match account {
        Some(Credential::Password { user, password }) => basic_header(user, password),
        _ => None,
    };
    transport
        .exchange(&url, MAX_TOKEN_ANSWER, |client| {
            let request = client.get(url.clone());
            match basic {
                Some(basic) => request.header(AUTHORIZATION, basic),
                None => request,
            }
        })
        .await
}

/// The way for identity tokens: a form, as OAuth 2 has it.
async fn exchange_identity(
    transport: &Transport,
    realm: &Url,
    bearer: &Bearer,
    token: &str,
) -> Result<Exchange, ResolveError> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", bearer.service.as_deref().unwrap_or_default())
        .append_pair("scope", &bearer.scopes.join(" "))
        .append_pair("client_id", "canary-keeper")
        .append_pair("refresh_token", token)
        .finish();
    transport
        .exchange(realm, MAX_TOKEN_ANSWER, |client| {
            client.post(realm.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        })
        .await
}

fn token_key(bearer: &Bearer, account: Option<&Credential>) -> TokenKey {
    TokenKey { bearer: bearer.clone(), account: account.map(Credential::fingerprint) }
}

fn bearer_header(token: &str) -> Option<HeaderValue> {
    secret_header(&format!("Bearer {token}"))
}

fn basic_header(user: &str, password: &str) -> Option<HeaderValue> {
    secret_header(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    // Keeps it out of Debug output.
    header.set_sensitive(true);
    Some(header)
}
