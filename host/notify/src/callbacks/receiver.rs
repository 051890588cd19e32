//! A receiver of callbacks: its settings, checked and ready to use.

use super::address::Address;
use crate::transports::{HttpClient, SendError, signing_key, standard_headers};
use everyframe_config::{CallbackSettings, ConfigError, KafkaSettings, Loaded};
use everyframe_kafka::remember_secret;
use ring::hmac;
use std::sync::Arc;
use std::time::Duration;

/// A program that may be called back.
pub struct CallbackReceiver {
    /// Its name.
    pub name: String,
    /// The address that is allowed, as in the configuration.
    pub url: String,
    /// A callback that cannot be delivered for this long is given up; none: never.
    pub(super) give_up_after: Option<Duration>,
    pub(super) address: Address,
    http: HttpClient,
    key: Option<hmac::Key>,
}

impl CallbackReceiver {
    /// Returns the key that is wrong and a message for the operator, if one is.
    fn new(settings: &CallbackSettings) -> Result<Self, (&'static str, String)> {
        settings.secret.iter().for_each(|secret| remember_secret(secret.text().to_owned()));
        let address = Address::parse(&settings.url).map_err(|message| ("url", message.to_owned()))?;
        let timeout = Duration::from_secs(settings.timeout_s);
        let http = HttpClient::new(&settings.url, settings.ca.as_deref(), timeout);
        let key = settings.secret.as_ref().map(|secret| signing_key(secret.text())).transpose();
        Ok(Self {
            name: settings.name.clone(),
            url: settings.url.clone(),
            give_up_after: (settings.give_up_after_s > 0)
                .then(|| Duration::from_secs(settings.give_up_after_s)),
            address,
            http: http.map_err(|message| ("ca", message))?,
            key: key.map_err(|message| ("secret", message.to_owned()))?,
        })
    }

    /// The consumer group of a receiver for one of the topics: its offsets are what is done.
    pub(super) fn group(&self, kafka: &KafkaSettings, what: &str) -> String {
        format!("{}-callback-{what}-{}", kafka.group, self.name)
    }

    /// Sends an event. The address must be one that this receiver allows.
    pub(super) fn send(&self, url: &str, id: &str, json: &[u8]) -> Result<(), SendError> {
        let mut headers = vec![("Content-Type", "application/cloudevents+json".to_owned())];
        headers.extend(standard_headers(self.key.as_ref(), id, json));
        self.http.post_to(url, &headers, json)
    }
}

/// Checks the receivers of `[[web.callbacks]]`, and reads their secrets.
///
/// # Errors
///
/// All problems together, each with its line: show them to the user.
pub fn load_callbacks(loaded: &mut Loaded) -> Result<Vec<Arc<CallbackReceiver>>, ConfigError> {
    loaded.resolve_callbacks()?;
    let (mut receivers, mut problems) = (Vec::new(), Vec::new());
    for (index, settings) in loaded.config.web.callbacks.iter().enumerate() {
        match CallbackReceiver::new(settings) {
            Ok(receiver) => receivers.push(Arc::new(receiver)),
            Err((key, message)) => {
                problems.push(loaded.problem(&format!("web.callbacks[{index}].{key}"), message));
            }
        }
    }
    if problems.is_empty() { Ok(receivers) } else { Err(ConfigError::Invalid(problems)) }
}

/// The receiver whose address allows this one: the first of the list.
pub fn find_receiver(receivers: &[Arc<CallbackReceiver>], url: &str) -> Option<usize> {
    let address = Address::parse(url).ok()?;
    receivers.iter().position(|receiver| receiver.address.allows(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn load(lines: &str) -> Result<Vec<Arc<CallbackReceiver>>, String> {
        let loaded = Loaded::parse(lines, Path::new("/etc/everyframe.toml"));
        loaded.and_then(|mut loaded| load_callbacks(&mut loaded)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_address_that_allows_a_callback_gets_it() {
        let text = "[[web.callbacks]]\nname = \"one\"\nurl = \"http://a/x\"\n\
                    [[web.callbacks]]\nname = \"all\"\nurl = \"http://a/\"\n";
        let receivers = load(text).unwrap();
        let found = |url| find_receiver(&receivers, url).map(|at| receivers[at].name.as_str());
        assert_eq!((found("http://a/x?b"), found("http://a/y")), (Some("one"), Some("all")));
        assert_eq!((found("http://b/x"), found("x")), (None, None));
    }

    #[test]
    fn a_wrong_receiver_is_named_with_its_line() {
        for (lines, key) in [
            ("url = \"hunter2\"", "web.callbacks[0].url"),
            ("url = \"http://a/\"\nsecret = \"short\"", "web.callbacks[0].secret"),
            ("url = \"http://a/\"\nca = \"none\"", "web.callbacks[0].ca"),
        ] {
            let error = load(&format!("[[web.callbacks]]\nname = \"a\"\n{lines}\n")).err().unwrap();
            assert!(error.contains("everyframe.toml:") && error.contains(key), "{error}");
        }
    }
}
