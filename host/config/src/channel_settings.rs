//! `[[channels]]`: who is told of which alerts, and how.

use crate::property::Property;
use crate::site_settings::every_camera;
use crate::value_checks::{name_problem, range_problem};
use everyframe_types::id;
use everyframe_types::judgement::Severity;
use everyframe_types::machine::is_loopback;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// `[[channels]]`: a channel sends alerts to people or programs. It has exactly one of `webhook`, `email`, `mqtt`, `ntfy`, `command`
/// and `stdout`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelSettings {
    /// The channel's name, which is part of its consumer group. Letters, digits, `-` and `_`. A channel with another name is a new
    /// channel: it begins with the alerts that are raised after its first start.
    pub name: String,
    /// Only alerts of these rules; `everyframe` is the host itself. Empty: all.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Only alerts of these kinds: `known-person`, `loitering`. `*` stands for any characters, `?` for one. Empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Only alerts of these severities. Empty: all.
    #[serde(default)]
    pub severities: Vec<Severity>,
    /// Only alerts of these cameras, by id. `*` stands for any characters, `?` for one.
    #[serde(default = "every_camera")]
    pub cameras: Vec<String>,
    /// Only alerts about these subjects: people and strangers, by id. `*` stands for any characters, `?` for one. Empty: all.
    #[serde(default)]
    pub people: Vec<String>,
    /// Only alerts that are raised while this schedule is active.
    #[serde(default)]
    pub schedule: Option<String>,
    /// While this schedule is active, alerts below `critical` are held back. They come as one message at its end.
    #[serde(default)]
    pub quiet_hours: Option<String>,
    /// One message for each visit: an alert is left out if it repeats one with the same key that was raised less than this before,
    /// seconds, unless it is more severe. 0: every alert is sent.
    #[serde(default)]
    pub visit_gap_s: u64,
    /// Alerts are collected for this long, and sent as one message, seconds. 0: each alert is a message.
    #[serde(default)]
    pub digest_s: u64,
    /// The most messages. What is more comes as one message when there is room again.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// For escalation: an alert is sent only if nobody has acknowledged it this long after it was raised, seconds. 0: at once.
    #[serde(default)]
    pub escalate_after_s: u64,
    /// Template of the title, for channels that have one.
    #[serde(default)]
    pub title: Option<String>,
    /// Template of the text.
    #[serde(default)]
    pub text: Option<String>,
    /// Which picture a message of one alert has, with masked parts painted over. The default is `frame` for `email` and `ntfy`, else
    /// `none`.
    #[serde(default)]
    pub picture: Option<AttachedPicture>,
    /// How long one attempt may take, seconds.
    #[serde(default = "ten")]
    pub timeout_s: u64,
    /// A message that cannot be delivered for this long becomes a dead letter of the channel, seconds. 0: never.
    #[serde(default = "one_hour")]
    pub give_up_after_s: u64,
    /// A request to an HTTP server.
    #[serde(default)]
    pub webhook: Option<WebhookSettings>,
    /// An e-mail.
    #[serde(default)]
    pub email: Option<EmailSettings>,
    /// A message to an MQTT broker.
    #[serde(default)]
    pub mqtt: Option<MqttSettings>,
    /// A push message by ntfy.
    #[serde(default)]
    pub ntfy: Option<NtfySettings>,
    /// A program that is started for each message.
    #[serde(default)]
    pub command: Option<CommandSettings>,
    /// A line of JSON on standard output.
    #[serde(default)]
    pub stdout: Option<StdoutSettings>,
}

fn ten() -> u64 {
    10
}

fn one_hour() -> u64 {
    3600
}

/// Which picture a message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttachedPicture {
    /// The whole frame.
    Frame,
    /// The part around the face that the alert is about; none if it is about no face.
    Face,
    /// None.
    None,
}

/// `[channels.rate_limit]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The most messages in the time.
    pub messages: usize,
    /// The time, seconds.
    pub per_s: u64,
}

/// What the body of a webhook's request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookFormat {
    /// The alert's CloudEvent as JSON, or one CloudEvent with all alerts of a digest.
    #[default]
    Cloudevent,
    /// A message for an incoming webhook of Slack, or of a compatible server such as Mattermost.
    Slack,
    /// A message for a webhook of Microsoft Teams.
    Teams,
}

/// `[channels.webhook]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    /// The address, `http://` or `https://`. Redirects are not followed.
    pub url: Property,
    /// The key of the signature (HMAC-SHA256), as in Standard Webhooks: a text, or `whsec_` and base64. Without it, requests are not
    /// signed.
    #[serde(default)]
    pub secret: Option<Property>,
    /// More headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Property>,
    /// What the body is.
    #[serde(default)]
    pub format: WebhookFormat,
    /// Template of the body, in place of `format`.
    #[serde(default)]
    pub body: Option<String>,
    /// The content type of `body`.
    #[serde(default = "json")]
    pub content_type: String,
    /// A file with the certificates (PEM) that the server's may be signed by, in place of the public authorities.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn json() -> String {
    "application/json".into()
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS from the start, as on port 465.
    Tls,
    /// STARTTLS, as on port 587. A server without it is an error.
    #[default]
    Starttls,
    /// No encryption. A password is then refused, except for this machine.
    None,
}

/// `[channels.email]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailSettings {
    /// The SMTP server: `mail.example.org:587`.
    pub server: String,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: MailTls,
    /// The user.
    #[serde(default)]
    pub username: Option<Property>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Property>,
    /// The sender: `Everyframe <alerts@example.org>`.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// A file with the certificates (PEM) that the server's may be signed by, in place of the public authorities.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// The version of MQTT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1
    #[serde(rename = "3.1.1")]
    V3,
    /// MQTT 5
    #[default]
    #[serde(rename = "5")]
    V5,
}

/// `[channels.mqtt]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttSettings {
    /// The broker: `mqtt.example.org:1883`.
    pub server: String,
    /// Encrypt the connection by TLS, as on port 8883.
    #[serde(default)]
    pub tls: bool,
    /// The version of MQTT: `"5"` or `"3.1.1"`.
    #[serde(default)]
    pub version: MqttVersion,
    /// The user.
    #[serde(default)]
    pub username: Option<Property>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Property>,
    /// The first level of the topics.
    #[serde(default = "everyframe")]
    pub prefix: String,
    /// The prefix of Home Assistant's discovery, `homeassistant` by default there. Without it, there is no discovery.
    #[serde(default)]
    pub discovery: Option<String>,
    /// The kinds of alerts whose subject is a person, for whom Home Assistant gets a device.
    #[serde(default = "known_person")]
    pub person_kinds: Vec<String>,
    /// A file with the certificates (PEM) that the broker's may be signed by, in place of the public authorities.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn everyframe() -> String {
    "everyframe".into()
}

fn known_person() -> Vec<String> {
    vec!["known-person".into(), "denied-person".into()]
}

/// `[channels.ntfy]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NtfySettings {
    /// The server's address with the topic: `https://ntfy.example.org/gate`.
    pub url: Property,
    /// The access token.
    #[serde(default)]
    pub token: Option<Property>,
    /// A file with the certificates (PEM) that the server's may be signed by, in place of the public authorities.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// `[channels.command]`
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// The program. No shell is involved.
    pub program: PathBuf,
    /// Templates of its arguments. The CloudEvent comes on standard input.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Its environment variables. It gets these and `PATH`, and no others.
    #[serde(default)]
    pub environment: BTreeMap<String, Property>,
}

/// `[channels.stdout]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StdoutSettings {}

impl ChannelSettings {
    /// The name of the kind of channel: `webhook`, `email` and so on. Empty if the configuration was not checked.
    pub fn kind(&self) -> &'static str {
        self.kinds_given().first().copied().unwrap_or_default()
    }

    /// Which picture a message has.
    pub fn attached_picture(&self) -> AttachedPicture {
        let has_room = self.email.is_some() || self.ntfy.is_some();
        self.picture.unwrap_or(if has_room { AttachedPicture::Frame } else { AttachedPicture::None })
    }

    fn kinds_given(&self) -> Vec<&'static str> {
        let all = [
            ("webhook", self.webhook.is_some()),
            ("email", self.email.is_some()),
            ("mqtt", self.mqtt.is_some()),
            ("ntfy", self.ntfy.is_some()),
            ("command", self.command.is_some()),
            ("stdout", self.stdout.is_some()),
        ];
        all.into_iter().filter_map(|(kind, is_given)| is_given.then_some(kind)).collect()
    }

    /// Reads the values that are kept elsewhere, and makes paths absolute. `base` is the configuration's folder. Returns a key and a
    /// message for each problem.
    pub(super) fn resolve(&mut self, base: &Path) -> Vec<(String, String)> {
        let mut values: Vec<(String, &mut Property)> = Vec::new();
        let mut files: Vec<(&str, &mut PathBuf)> = Vec::new();
        if let Some(webhook) = &mut self.webhook {
            values.push(("webhook.url".into(), &mut webhook.url));
            values.extend(webhook.secret.as_mut().map(|value| ("webhook.secret".into(), value)));
            let headers = webhook.headers.iter_mut();
            values.extend(headers.map(|(name, value)| (format!("webhook.headers.{name}"), value)));
            files.extend(webhook.ca.as_mut().map(|path| ("webhook.ca", path)));
        }
        if let Some(email) = &mut self.email {
            values.extend(email.username.as_mut().map(|value| ("email.username".into(), value)));
            values.extend(email.password.as_mut().map(|value| ("email.password".into(), value)));
            files.extend(email.ca.as_mut().map(|path| ("email.ca", path)));
        }
        if let Some(mqtt) = &mut self.mqtt {
            values.extend(mqtt.username.as_mut().map(|value| ("mqtt.username".into(), value)));
            values.extend(mqtt.password.as_mut().map(|value| ("mqtt.password".into(), value)));
            files.extend(mqtt.ca.as_mut().map(|path| ("mqtt.ca", path)));
        }
        if let Some(ntfy) = &mut self.ntfy {
            values.push(("ntfy.url".into(), &mut ntfy.url));
            values.extend(ntfy.token.as_mut().map(|value| ("ntfy.token".into(), value)));
            files.extend(ntfy.ca.as_mut().map(|path| ("ntfy.ca", path)));
        }
        if let Some(command) = &mut self.command {
            let variables = command.environment.iter_mut();
            values.extend(variables.map(|(name, value)| (format!("command.environment.{name}"), value)));
            files.push(("command.program", &mut command.program));
        }
        let mut problems: Vec<(String, String)> = values
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.resolve_text(base).err()?)))
            .collect();
        for (key, path) in files {
            *path = base.join(&*path);
            if !path.is_file() {
                problems.push((key.into(), format!("{} is not a file", path.display())));
            }
        }
        problems
    }
}

/// The problems of all channels that can be found without reading secrets: dotted keys and messages.
pub(super) fn find_problems(
    channels: &[ChannelSettings],
    schedules: &BTreeSet<&str>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (index, channel) in channels.iter().enumerate() {
        let mut add = |key: &str, message: String| found.push((format!("channels[{index}]{key}"), message));
        if let Some(problem) = name_problem(&channel.name) {
            add(".name", problem);
        }
        if !names.insert(&*channel.name) {
            add(
                ".name",
                format!("`{}` is used for another channel, too; each needs its own name", channel.name),
            );
        }
        match channel.kinds_given().as_slice() {
            [_] => {}
            [] => add("", "has no way to send: add a table such as `webhook = { url = \"…\" }`".into()),
            several => add(
                "",
                format!("has several ways to send ({}); use one channel for each", several.join(", ")),
            ),
        }
        for (key, schedule) in [(".schedule", &channel.schedule), (".quiet_hours", &channel.quiet_hours)] {
            if let Some(schedule) = schedule.as_ref().filter(|name| !schedules.contains(&***name)) {
                add(key, format!("there is no schedule `{schedule}`; add it as a table `[[schedules]]`"));
            }
        }
        let mut range = |key: &str, value: u64, range: RangeInclusive<u64>| {
            if let Some(problem) = range_problem(value, range) {
                add(key, problem);
            }
        };
        range(".visit_gap_s", channel.visit_gap_s, 0..=86_400);
        range(".digest_s", channel.digest_s, 0..=86_400);
        range(".escalate_after_s", channel.escalate_after_s, 0..=86_400);
        range(".timeout_s", channel.timeout_s, 1..=120);
        range(".give_up_after_s", channel.give_up_after_s, 0..=604_800);
        if let Some(limit) = &channel.rate_limit {
            range(".rate_limit.messages", limit.messages as u64, 1..=1000);
            range(".rate_limit.per_s", limit.per_s, 1..=86_400);
        }
        found.extend(find_way_problems(channel, index));
    }
    found
}

/// The problems of the way in which a channel sends.
fn find_way_problems(channel: &ChannelSettings, index: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |key: &str, message: &str| {
        found.push((format!("channels[{index}].{key}"), message.to_owned()));
    };
    let is_server = |server: &str| {
        server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    const SERVER: &str = "is not a server; give host and port, such as mail.example.org:587";
    if let Some(email) = &channel.email {
        if !is_server(&email.server) {
            add("email.server", SERVER);
        }
        if email.to.is_empty() {
            add("email.to", "is empty; give at least one recipient");
        }
        if email.password.is_some() != email.username.is_some() {
            add("email", "needs `username` and `password` together");
        }
        if email.password.is_some() && email.tls == MailTls::None && !is_this_machine(&email.server) {
            add("email.tls", "a password would be sent unencrypted; use `starttls` or `tls`");
        }
    }
    if let Some(mqtt) = &channel.mqtt {
        if !is_server(&mqtt.server) {
            add("mqtt.server", "is not a server; give host and port, such as mqtt.example.org:1883");
        }
        if mqtt.password.is_some() && mqtt.username.is_none() {
            add("mqtt.password", "needs a `username`, too");
        }
        if mqtt.password.is_some() && !mqtt.tls && !is_this_machine(&mqtt.server) {
            add("mqtt.tls", "a password would be sent unencrypted; set `tls = true`");
        }
        let is_level = |text: &str| !text.is_empty() && !text.contains(['#', '+', '\0']);
        if !is_level(&mqtt.prefix) {
            add("mqtt.prefix", "must not be empty or contain `#` or `+`");
        }
        if mqtt.discovery.as_ref().is_some_and(|prefix| !is_level(prefix)) {
            add("mqtt.discovery", "must not be empty or contain `#` or `+`");
        }
    }
    if let Some(webhook) = &channel.webhook
        && webhook.body.is_some()
        && webhook.format != WebhookFormat::Cloudevent
    {
        add("webhook.body", "takes the place of `format`; leave one of them out");
    }
    if let Some(command) = &channel.command {
        for name in command.environment.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            add(&format!("command.environment.{name}"), "is not a valid name of an environment variable");
        }
    }
    found
}

/// True if the server is on this machine.
fn is_this_machine(server: &str) -> bool {
    is_loopback(server.rsplit_once(':').map_or(server, |(host, _)| host))
}

/// Normalises the names that a channel compares with ids of records.
pub(super) fn normalise_names(channel: &mut ChannelSettings) {
    for name in channel.schedule.iter_mut().chain(&mut channel.quiet_hours) {
        *name = id::normalise(name.trim()).into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        #[derive(Deserialize)]
        struct Channels {
            channels: Vec<ChannelSettings>,
        }
        let channels: Channels = toml::from_str(text).unwrap();
        let found = find_problems(&channels.channels, &BTreeSet::from(["night"]));
        found.into_iter().map(|(key, message)| format!("{key} {message}")).collect()
    }

    #[test]
    fn a_channel_sends_in_exactly_one_way() {
        let none = problems("[[channels]]\nname = \"a\"\n");
        assert!(none[0].starts_with("channels[0] has no way to send"), "{none:?}");
        let two = problems("[[channels]]\nname = \"a\"\nstdout = {}\nwebhook = { url = \"http://a/\" }\n");
        assert!(two[0].contains("several ways to send (webhook, stdout)"), "{two:?}");
        assert!(problems("[[channels]]\nname = \"a\"\nstdout = {}\n").is_empty());
    }

    #[test]
    fn wrong_settings_of_channels_are_named() {
        for (text, key) in [
            ("name = \"a b\"\nstdout = {}", "channels[0].name"),
            ("name = \"a\"\nstdout = {}\nschedule = \"day\"", "channels[0].schedule"),
            ("name = \"a\"\nstdout = {}\nquiet_hours = \"day\"", "channels[0].quiet_hours"),
            ("name = \"a\"\nstdout = {}\ntimeout_s = 0", "channels[0].timeout_s"),
            (
                "name = \"a\"\nstdout = {}\nrate_limit = { messages = 0, per_s = 1 }",
                "channels[0].rate_limit.messages",
            ),
            (
                "name = \"a\"\nemail = { server = \"m\", from = \"a@b\", to = [\"c@d\"] }",
                "channels[0].email.server",
            ),
            ("name = \"a\"\nemail = { server = \"m:25\", from = \"a@b\", to = [] }", "channels[0].email.to"),
            ("name = \"a\"\nmqtt = { server = \"m:1\", prefix = \"a/#\" }", "channels[0].mqtt.prefix"),
        ] {
            let found = problems(&format!("[[channels]]\n{text}\n"));
            assert!(found.len() == 1 && found[0].starts_with(key), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_password_needs_encryption_or_this_machine() {
        let mqtt = |server: &str, tls: bool| {
            problems(&format!(
                "[[channels]]\nname = \"a\"\nmqtt = {{ server = \"{server}\", tls = {tls}, username = \"u\", password = \"p\" }}\n"
            ))
        };
        assert!(mqtt("mqtt.example:1883", false)[0].contains("unencrypted"));
        assert!(mqtt("mqtt.example:8883", true).is_empty() && mqtt("127.0.0.1:1883", false).is_empty());
    }

    #[test]
    fn secrets_are_read_from_their_places() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hunter2\n").unwrap();
        let text = "name = \"a\"\nwebhook = { url = \"http://a/\", secret = { file = \"key\" } }\n";
        let mut channel: ChannelSettings = toml::from_str(text).unwrap();
        assert!(channel.resolve(folder.path()).is_empty());
        assert_eq!(channel.webhook.as_ref().unwrap().secret.as_ref().unwrap().text(), "hunter2");
        assert!(!format!("{channel:?}").contains("hunter2"), "{channel:?}");
        let text = "name = \"a\"\nntfy = { url = \"http://a/\", token = { env = \"EVERYFRAME_NO_SUCH\" }, ca = \"none\" }\n";
        let mut channel: ChannelSettings = toml::from_str(text).unwrap();
        let keys: Vec<String> = channel.resolve(folder.path()).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["ntfy.token", "ntfy.ca"]);
    }
}
