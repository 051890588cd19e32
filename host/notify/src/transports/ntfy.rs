//! Push messages by ntfy (<https://docs.ntfy.sh/publish/>).

use super::http::{HttpClient, header_text};
use super::{Outgoing, SendError, Transport};
use everyframe_config::NtfySettings;
use everyframe_types::judgement::Severity;
use std::time::Duration;

/// Publishes to a topic of a server.
#[derive(Clone)]
pub struct Ntfy {
    http: HttpClient,
    token: Option<String>,
}

impl Ntfy {
    /// A channel of a checked configuration whose secrets were read.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and a message for the operator.
    pub fn new(settings: &NtfySettings, timeout: Duration) -> Result<Self, (&'static str, String)> {
        let http = HttpClient::new(settings.url.text(), settings.ca.as_deref(), timeout)
            .map_err(|message| ("ntfy.url", message))?;
        let token = settings.token.as_ref().map(|token| token.text().to_owned());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(("ntfy.token", "is not a token of visible ASCII characters".into()));
        }
        Ok(Self { http, token })
    }
}

impl Transport for Ntfy {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let (priority, tag) = match outgoing.severity() {
            Severity::Info => ("3", "information_source"),
            Severity::Warning => ("4", "warning"),
            Severity::Critical => ("5", "rotating_light"),
        };
        let mut headers = vec![
            ("Title", header_text(&outgoing.title)),
            ("Priority", priority.to_owned()),
            ("Tags", tag.to_owned()),
        ];
        headers.extend(self.token.iter().map(|token| ("Authorization", format!("Bearer {token}"))));
        match &outgoing.picture {
            None => self.http.post(&headers, outgoing.text.as_bytes()),
            // The body is the attachment.
            Some(picture) => {
                headers.push(("Message", header_text(&outgoing.text)));
                headers.push(("Filename", "alert.jpg".into()));
                self.http.post(&headers, picture)
            }
        }
    }
}
