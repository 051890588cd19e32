//! Requests to HTTP servers: of webhooks and ntfy.

use super::SendError;
use super::tls::read_certificates;
use everyframe_types::event::parse_http_date;
use everyframe_types::machine::unix_ms;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// How much of an answer an error shows, bytes.
const SHOWN: u64 = 200;

/// Sends requests to one address. It keeps connections open.
#[derive(Clone)]
pub struct HttpClient {
    agent: Agent,
    url: String,
}

impl HttpClient {
    /// A client for one address. `timeout` is for a whole request.
    ///
    /// # Errors
    ///
    /// A message for the operator, without the address.
    pub fn new(url: &str, ca: Option<&Path>, timeout: Duration) -> Result<Self, String> {
        let is_http = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if is_http.is_none_or(|rest| rest.is_empty() || rest.starts_with('/'))
            || url.parse::<ureq::http::Uri>().is_err()
        {
            return Err("is not an address; give one that begins with http:// or https://".into());
        }
        let mut tls = TlsConfig::builder();
        if let Some(file) = ca {
            let certificates = read_certificates(file)?;
            let certificates: Vec<_> =
                certificates.iter().map(|it| Certificate::from_der(it.as_ref()).to_owned()).collect();
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates)));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A signed request is for the address that the operator gave.
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .user_agent("everyframe")
            .tls_config(tls.build())
            .build();
        Ok(Self { agent: Agent::new_with_config(config), url: url.to_owned() })
    }

    /// Sends a POST request.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn post(&self, headers: &[(&str, String)], body: &[u8]) -> Result<(), SendError> {
        self.post_to(&self.url, headers, body)
    }

    /// Sends a POST request to another address of the same server. The caller checks that it may be called.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn post_to(&self, url: &str, headers: &[(&str, String)], body: &[u8]) -> Result<(), SendError> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut answer = request.send(body).map_err(|error| SendError::failed(explain(&error)))?;
        let status = answer.status().as_u16();
        let header =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (retry_after, location) = (header("retry-after"), header("location"));
        let text = beginning(answer.body_mut());
        let shown = if text.is_empty() { String::new() } else { format!(": {text}") };
        match status {
            200..300 => Ok(()),
            300..400 => Err(SendError::failed(format!(
                "the server answers {status}, a redirect, which is not followed{}; change the address",
                if location.is_some() { " (its header Location says where to)" } else { "" }
            ))),
            // The same message would be refused again.
            400 | 413 | 415 | 422 => {
                Err(SendError::Refused(format!("the server refuses the message with {status}{shown}")))
            }
            _ => Err(SendError::Failed {
                reason: format!("the server answers {status}{shown}"),
                retry_after: retry_after.and_then(|text| parse_retry_after(&text, unix_ms())),
            }),
        }
    }
}

/// The beginning of an answer, on one line. It also reads a short answer to its end, so that the connection can be used again.
fn beginning(body: &mut Body) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not shown.
    let _ = body.as_reader().take(SHOWN).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::HostNotFound => "the server's name is not known".into(),
        ureq::Error::BadUri(_) => "the address is not valid".into(),
        other => other.to_string(),
    }
}

/// Parses the header `Retry-After`: seconds, or a date.
fn parse_retry_after(text: &str, now: i64) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = parse_http_date(text)?;
    Some(Duration::from_millis(at.saturating_sub(now).max(0).unsigned_abs()))
}

/// A text as the value of a header: a text with other characters than visible ASCII is encoded as in RFC 2047.
pub fn header_text(text: &str) -> String {
    use base64::Engine as _;
    let is_plain =
        text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && !text.starts_with("=?");
    if is_plain {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", base64::engine::general_purpose::STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let now = 784_111_777_000;
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(parse_retry_after(date, now), Some(Duration::from_secs(60)));
        assert_eq!(parse_retry_after(date, now + 1_000_000), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon", now), None);
    }

    #[test]
    fn no_text_adds_a_header() {
        assert_eq!(header_text("warning: loitering"), "warning: loitering");
        assert_eq!(header_text("a\r\nb"), "=?UTF-8?B?YQ0KYg==?=");
        assert_eq!(header_text("Tür"), "=?UTF-8?B?VMO8cg==?=");
    }

    #[test]
    fn an_address_must_be_one_of_http() {
        let new = |url| HttpClient::new(url, None, Duration::from_secs(1)).map(drop);
        assert!(new("https://example.org/a?b=c").is_ok());
        for url in ["", "example.org", "ftp://a/", "http://", "http:///a", "https://a b/"] {
            assert!(new(url).is_err(), "{url}");
        }
    }
}
