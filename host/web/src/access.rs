//! Who may do what: tokens for programs, sessions for browsers.
//!
//! - Without configured tokens, the address is a loopback address, and everybody who reaches it may do everything. Requests of other
//!   sites' pages, and those with a foreign host name (DNS rebinding), are refused.
//! - A program sends `Authorization: Bearer TOKEN`.
//! - A browser exchanges the token for a session: a cookie that scripts cannot read, and a second value, which the dashboard sends
//!   with every change (against forged requests of other sites).

use crate::problem::Problem;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use everyframe_config::{Role, TokenSettings};
use everyframe_types::hexadecimal::hexadecimal;
use everyframe_types::machine::is_loopback;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The cookie of a session.
pub const COOKIE: &str = "everyframe-session";
/// The header with the session's second value.
pub const CSRF: &str = "x-csrf-token";
/// A session that is not used for so long ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions; beyond it, the one that was not used for the longest time ends.
const MAX_SESSIONS: usize = 1000;
/// The name of everybody where no token is configured.
const LOCAL: &str = "local";

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The token's name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The session's second value; none for a program.
    pub csrf: Option<String>,
}

struct Session {
    name: String,
    role: Role,
    csrf: String,
    used: Instant,
}

/// The tokens and the sessions.
pub struct Access {
    tokens: Vec<TokenSettings>,
    /// By the SHA-256 of the cookie's value: a copy of the memory opens no session.
    sessions: Mutex<HashMap<String, Session>>,
}

impl Access {
    /// Access with these tokens.
    pub fn new(tokens: Vec<TokenSettings>) -> Self {
        Self { tokens, sessions: Mutex::default() }
    }

    /// True if tokens are configured.
    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Opens a session for a token. Returns the cookie's value and the identity; none for a wrong token.
    pub fn open_session(&self, token: &str) -> Option<(String, Identity)> {
        let TokenSettings { name, role, .. } = self.find_token(token)?.clone();
        let (value, csrf) = (random_text()?, random_text()?);
        let session = Session { name: name.clone(), role, csrf: csrf.clone(), used: Instant::now() };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(hash(&value), session);
        Some((value, Identity { name, role, csrf: Some(csrf) }))
    }

    /// Ends the session of a request.
    pub fn end_session(&self, headers: &HeaderMap) {
        if let Some(value) = cookie(headers) {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(value));
        }
    }

    /// Who makes a request.
    ///
    /// # Errors
    ///
    /// The problem to answer with.
    pub fn identify(&self, method: &Method, headers: &HeaderMap) -> Result<Identity, Problem> {
        let is_change = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_same_site(headers) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the request comes from the page of another site",
            ));
        }
        if !self.has_tokens() {
            if !is_loopback_host(headers) {
                let detail = "this address is for this machine only; use 127.0.0.1, or configure tokens";
                return Err(Problem::new(StatusCode::FORBIDDEN, detail));
            }
            return Ok(Identity { name: LOCAL.into(), role: Role::Admin, csrf: None });
        }
        if let Some(token) = bearer(headers) {
            let token = self.find_token(token).ok_or_else(|| unauthorised("the token is not known"))?;
            return Ok(Identity { name: token.name.clone(), role: token.role, csrf: None });
        }
        let missing = || unauthorised("sign in, or send a token: `Authorization: Bearer TOKEN`");
        let value = cookie(headers).ok_or_else(missing)?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions
            .get_mut(&hash(value))
            .filter(|session| session.used.elapsed() < IDLE)
            .ok_or_else(|| unauthorised("the session is over; sign in again"))?;
        session.used = Instant::now();
        let given = headers.get(CSRF).and_then(|value| value.to_str().ok());
        if is_change && given != Some(&session.csrf) {
            let detail = format!("the header `{CSRF}` is missing or wrong; `GET /api/v1/session` tells it");
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(Identity { name: session.name.clone(), role: session.role, csrf: Some(session.csrf.clone()) })
    }

    fn find_token(&self, token: &str) -> Option<&TokenSettings> {
        // Hashes are compared, so the time that a comparison takes tells nothing about a token.
        let given = hash(token);
        self.tokens.iter().find(|known| known.sha256.eq_ignore_ascii_case(&given))
    }
}

/// Makes a token: 32 random bytes, hexadecimal. None if the system has no random numbers.
pub fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    (filled == bytes.len()).then(|| hexadecimal(&bytes))
}

/// The SHA-256 of a token, hexadecimal.
pub fn hash(token: &str) -> String {
    hexadecimal(&Sha256::digest(token.as_bytes()))
}

fn unauthorised(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// False if a browser says that the request comes from the page of another site.
fn is_same_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if matches!(text("sec-fetch-site"), Some("cross-site" | "same-site")) {
        return false;
    }
    let Some(origin) = text("origin") else { return true };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == text("host")
}

/// True if the request names this machine.
fn is_loopback_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|value| value.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    is_loopback(name)
}

/// Finds out who makes each request, and answers those of nobody.
pub async fn require_identity(access: Arc<Access>, mut request: Request, next: Next) -> Response {
    match access.identify(request.method(), request.headers()) {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// A request that needs the role `view`.
pub struct Viewer(pub Identity);
/// A request that needs the role `enrol`.
pub struct Enroller(pub Identity);
/// A request that needs the role `admin`.
pub struct Administrator(pub Identity);

fn require_role(parts: &Parts, role: Role) -> Result<Identity, Problem> {
    let identity = parts.extensions.get::<Identity>();
    let identity = identity.ok_or_else(|| unauthorised("sign in, or send a token"))?.clone();
    if identity.role < role {
        let detail = format!("this needs the role `{role}`; your token has the role `{}`", identity.role);
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(identity)
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require_role(parts, Role::View).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Enroller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require_role(parts, Role::Enrol).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require_role(parts, Role::Admin).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
        };
        pairs.iter().filter_map(pair).collect()
    }

    fn access() -> Access {
        let token = |name: &str, role| TokenSettings { name: name.into(), role, sha256: hash(name) };
        Access::new(vec![token("anna", Role::View), token("max", Role::Admin)])
    }

    fn status(access: &Access, method: Method, pairs: &[(&str, &str)]) -> Result<String, u16> {
        access.identify(&method, &headers(pairs)).map(|it| it.name).map_err(|problem| problem.status)
    }

    #[test]
    fn a_token_identifies_a_program() {
        let access = access();
        let of = |value: &str| status(&access, Method::POST, &[("authorization", value)]);
        assert_eq!(of("Bearer anna"), Ok("anna".into()));
        assert_eq!(of("bearer max"), Ok("max".into()));
        for wrong in ["Bearer ", "Bearer nobody", "Basic anna", "anna", ""] {
            assert_eq!(of(wrong), Err(401), "{wrong}");
        }
        assert_eq!(status(&access, Method::GET, &[]), Err(401));
    }

    #[test]
    fn a_session_needs_its_second_value_for_changes() {
        let access = access();
        assert!(access.open_session("nobody").is_none());
        let (value, identity) = access.open_session("anna").unwrap();
        let (cookie, csrf) = (format!("a=b; {COOKIE}={value}"), identity.csrf.unwrap());
        assert_eq!(status(&access, Method::GET, &[("cookie", &cookie)]), Ok("anna".into()));
        assert_eq!(status(&access, Method::POST, &[("cookie", &cookie)]), Err(403));
        assert_eq!(status(&access, Method::POST, &[("cookie", &cookie), (CSRF, "guess")]), Err(403));
        assert_eq!(status(&access, Method::POST, &[("cookie", &cookie), (CSRF, &csrf)]), Ok("anna".into()));
        access.end_session(&headers(&[("cookie", &cookie)]));
        assert_eq!(status(&access, Method::GET, &[("cookie", &cookie)]), Err(401));
    }

    #[test]
    fn without_tokens_only_this_machine_may_ask() {
        let access = Access::new(vec![]);
        for ours in ["127.0.0.1:8080", "localhost", "[::1]:80", "localhost:1"] {
            assert_eq!(status(&access, Method::POST, &[("host", ours)]), Ok(LOCAL.into()), "{ours}");
        }
        for others in ["evil.example", "192.168.0.1:80", "127.0.0.1.evil.example", ""] {
            assert_eq!(status(&access, Method::GET, &[("host", others)]), Err(403), "{others}");
        }
    }

    #[test]
    fn other_sites_cannot_change_anything() {
        let access = Access::new(vec![]);
        let of = |pairs: &[(&str, &str)]| {
            let mut all = vec![("host", "127.0.0.1:80")];
            all.extend_from_slice(pairs);
            status(&access, Method::POST, &all)
        };
        assert!(of(&[("origin", "http://127.0.0.1:80"), ("sec-fetch-site", "same-origin")]).is_ok());
        assert_eq!(of(&[("origin", "https://evil.example")]), Err(403));
        assert_eq!(of(&[("origin", "null")]), Err(403));
        assert_eq!(of(&[("origin", "http://127.0.0.1:81")]), Err(403));
        assert_eq!(of(&[("sec-fetch-site", "cross-site")]), Err(403));
    }

    #[test]
    fn random_texts_differ() {
        let (one, other) = (random_text().unwrap(), random_text().unwrap());
        assert!(one.len() == 64 && one != other);
    }
}
