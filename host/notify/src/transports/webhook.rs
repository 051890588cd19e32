//! Webhooks: a CloudEvent, a message for Slack or Teams, or a template, signed as in Standard Webhooks
//! (<https://www.standardwebhooks.com>).

use super::http::HttpClient;
use super::{Outgoing, SendError, Transport};
use crate::template::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everyframe_config::{WebhookFormat, WebhookSettings};
use everyframe_types::machine::unix_ms;
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Sends requests to an HTTP server.
#[derive(Clone)]
pub struct Webhook {
    http: HttpClient,
    headers: Vec<(String, String)>,
    format: WebhookFormat,
    /// In place of the format: the template of the body, and its content type.
    body: Option<(Arc<Template>, String)>,
    key: Option<hmac::Key>,
}

impl Webhook {
    /// A webhook of a checked configuration whose secrets were read.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and a message for the operator.
    pub fn new(
        settings: &WebhookSettings,
        body: Option<Template>,
        timeout: Duration,
    ) -> Result<Self, (&'static str, String)> {
        let http = HttpClient::new(settings.url.text(), settings.ca.as_deref(), timeout)
            .map_err(|message| ("webhook.url", message))?;
        let key = settings.secret.as_ref().map(|secret| signing_key(secret.text())).transpose();
        let key = key.map_err(|message| ("webhook.secret", message.to_owned()))?;
        for (name, value) in &settings.headers {
            let is_valid = ureq::http::HeaderName::try_from(name.as_str()).is_ok()
                && ureq::http::HeaderValue::try_from(value.text()).is_ok();
            if !is_valid {
                return Err((
                    "webhook.headers",
                    format!("`{name}` is not a valid header, or its value is not"),
                ));
            }
        }
        let headers = settings.headers.iter();
        Ok(Self {
            http,
            headers: headers.map(|(name, value)| (name.clone(), value.text().to_owned())).collect(),
            format: settings.format,
            body: body.map(|template| (Arc::new(template), settings.content_type.clone())),
            key,
        })
    }

    fn body(&self, outgoing: &Outgoing<'_>) -> Result<(Vec<u8>, String), SendError> {
        if let Some((template, content_type)) = &self.body {
            let body = template.render(outgoing.content).map_err(SendError::Refused)?;
            return Ok((body.into_bytes(), content_type.clone()));
        }
        Ok(match self.format {
            WebhookFormat::Cloudevent => {
                let event = outgoing.message.cloud_event(outgoing.channel);
                (with_picture(event, outgoing), "application/cloudevents+json".into())
            }
            WebhookFormat::Slack => (slack(outgoing).to_string().into_bytes(), "application/json".into()),
            WebhookFormat::Teams => (teams(outgoing).to_string().into_bytes(), "application/json".into()),
        })
    }
}

impl Transport for Webhook {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let (body, content_type) = self.body(outgoing)?;
        let mut headers = vec![("Content-Type", content_type)];
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
        headers.extend(standard_headers(self.key.as_ref(), &outgoing.message.id, &body));
        self.http.post(&headers, &body)
    }
}

/// The headers of Standard Webhooks: id, time and, with a key, the signature.
pub fn standard_headers(key: Option<&hmac::Key>, id: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let (id, timestamp) = (header_id(id), (unix_ms() / 1000).to_string());
    let signature = key.map(|key| ("webhook-signature", sign(key, &id, &timestamp, body)));
    signature.into_iter().chain([("webhook-id", id), ("webhook-timestamp", timestamp)]).collect()
}

/// The key of a secret: the bytes of its base64 after `whsec_`, or else its text.
///
/// # Errors
///
/// A message for the operator, without the secret.
pub fn signing_key(secret: &str) -> Result<hmac::Key, &'static str> {
    let bytes = match secret.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| "has no base64 after `whsec_`")?,
        None => secret.as_bytes().to_vec(),
    };
    if bytes.len() < 16 {
        return Err(
            "is too short for a key; give at least 16 bytes, such as whsec_ and the output of `openssl rand -base64 32`",
        );
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The header `webhook-signature`: of the id, the time and the body.
fn sign(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// An id as the value of a header.
fn header_id(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '%';
    id.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("%{:X}", u32::from(c)) }).collect()
}

/// Adds the picture to the data of a CloudEvent.
fn with_picture(event: Vec<u8>, outgoing: &Outgoing<'_>) -> Vec<u8> {
    let Some(picture) = &outgoing.picture else { return event };
    let Ok(mut value) = serde_json::from_slice::<Value>(&event) else { return event };
    if let Some(data) = value["data"].as_object_mut() {
        let picture = json!({ "contentType": "image/jpeg", "base64": STANDARD.encode(&**picture) });
        data.insert("picture".into(), picture);
    }
    value.to_string().into_bytes()
}

/// <https://docs.slack.dev/messaging/formatting-message-text>
fn slack(outgoing: &Outgoing<'_>) -> Value {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": format!("*{}*\n{}", escape(&outgoing.title), escape(&outgoing.text)) })
}

/// An Adaptive Card, as webhooks of workflows take it.
fn teams(outgoing: &Outgoing<'_>) -> Value {
    let block = |text: &str, weight: &str| json!({ "type": "TextBlock", "text": text, "weight": weight, "wrap": true });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [block(&outgoing.title, "Bolder"), block(&outgoing.text, "Default")],
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, computed there with other code.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(signing_key("hunter2").is_err() && signing_key("whsec_aGk=").is_err());
        assert!(signing_key("whsec_*").is_err());
        assert!(signing_key("a secret of enough bytes").is_ok());
    }

    #[test]
    fn an_id_becomes_visible_ascii() {
        assert_eq!(header_id("frames/0/12/alerts/0"), "frames/0/12/alerts/0");
        assert_eq!(header_id("tür 1\r\n"), "t%FCr%201%D%A");
    }
}
