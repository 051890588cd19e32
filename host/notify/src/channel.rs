//! A channel: its settings, checked and ready to use.

use crate::conditions::Conditions;
use crate::message::{Content, Message, sample_contents};
use crate::pacing::PaceSettings;
use crate::picture_source::PictureSource;
use crate::template::Template;
use crate::transports::{Command, Email, Mqtt, Ntfy, Outgoing, SendError, Stdout, Transport, Webhook};
use everyframe_config::{
    AttachedPicture, ChannelSettings, Config, ConfigError, KafkaSettings, Loaded, Property,
};
use everyframe_kafka::remember_secret;
use std::sync::Arc;
use std::time::Duration;

const TITLE: &str = "{% if escalated %}Not acknowledged: {% endif %}\
     {% if count == 1 %}{{ severity }}: {{ kind }} at {{ camera }}{% else %}{{ count }} alerts: {{ summary }}{% endif %}";
/// A digest lists its first 20 alerts.
const TEXT: &str = "{% if count == 1 %}{{ text }}{% else %}{% for alert in alerts[:20] %}{{ alert.time }} {{ alert.text }}\n\
     {% endfor %}{% if count > 20 %}and {{ count - 20 }} more{% endif %}{% endif %}";
/// Requests, or programs, that one channel has under way at a time.
const SENDERS: usize = 4;

/// A channel.
pub struct Channel {
    /// Its name.
    pub name: String,
    /// The kind of its transport: `webhook`, `email` and so on.
    pub kind: &'static str,
    /// Which alerts it sends.
    pub conditions: Conditions,
    /// When it sends them.
    pub pace: Arc<PaceSettings>,
    /// Only alerts that nobody has acknowledged.
    pub escalates: bool,
    /// Which picture a message has.
    pub picture: AttachedPicture,
    /// A message that cannot be delivered for this long is given up; none: never.
    pub give_up_after: Option<Duration>,
    title: Template,
    text: Template,
    transport: TransportSettings,
}

/// The transport of a channel. Each sending thread gets a copy, so that it has a connection of its own.
enum TransportSettings {
    Webhook(Webhook),
    Email(Email),
    Mqtt(Mqtt),
    Ntfy(Ntfy),
    Command(Command),
    Stdout(Stdout),
}

/// The key that is wrong, within the channel, and a message for the operator.
type Wrong = (String, String);

impl Channel {
    fn new(settings: &ChannelSettings, config: &Config) -> Result<Self, Wrong> {
        remember_secrets(settings);
        let samples = sample_contents(&settings.name);
        let template = |key: &str, given: &Option<String>, default: &str| {
            let source = given.as_deref().unwrap_or(default);
            Template::new(source, &samples).map_err(|message| (key.to_owned(), message))
        };
        Ok(Self {
            name: settings.name.clone(),
            kind: settings.kind(),
            conditions: Conditions::new(settings, config),
            pace: Arc::new(PaceSettings::new(settings, config)),
            escalates: settings.escalate_after_s > 0,
            picture: settings.attached_picture(),
            give_up_after: (settings.give_up_after_s > 0)
                .then(|| Duration::from_secs(settings.give_up_after_s)),
            title: template("title", &settings.title, TITLE)?,
            text: template("text", &settings.text, TEXT)?,
            transport: read_transport(settings, &samples)?,
        })
    }

    /// The consumer group of a channel: its offsets are what it has done.
    pub fn group(kafka: &KafkaSettings, name: &str) -> String {
        format!("{}-notify-{name}", kafka.group)
    }

    /// How many threads send at the same time.
    pub fn senders(&self) -> usize {
        match self.transport {
            TransportSettings::Webhook(_)
            | TransportSettings::Ntfy(_)
            | TransportSettings::Command(_)
            | TransportSettings::Email(_) => SENDERS,
            // One connection, and one output.
            TransportSettings::Mqtt(_) | TransportSettings::Stdout(_) => 1,
        }
    }

    /// A transport for one thread.
    pub fn make_transport(&self) -> Box<dyn Transport> {
        match &self.transport {
            TransportSettings::Webhook(transport) => Box::new(transport.clone()),
            TransportSettings::Email(transport) => Box::new(transport.clone()),
            TransportSettings::Mqtt(transport) => Box::new(transport.unconnected()),
            TransportSettings::Ntfy(transport) => Box::new(transport.clone()),
            TransportSettings::Command(transport) => Box::new(transport.clone()),
            TransportSettings::Stdout(transport) => Box::new(*transport),
        }
    }

    /// The picture of a message. A digest has none. Blocks.
    pub(crate) fn picture_of(&self, message: &Message, pictures: &dyn PictureSource) -> Option<Arc<Vec<u8>>> {
        let [only] = message.alerts.as_slice() else { return None };
        let face = match self.picture {
            AttachedPicture::Frame => None,
            AttachedPicture::Face => Some(only.raised.face_bounds.as_ref()?),
            AttachedPicture::None => return None,
        };
        let position = only.raised.position.as_ref()?;
        pictures.picture(position.partition, position.offset, face)
    }

    /// Renders a message and sends it.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub(crate) fn send(
        &self,
        transport: &mut dyn Transport,
        message: &Message,
        picture: Option<Arc<Vec<u8>>>,
    ) -> Result<(), SendError> {
        let content = message.content(&self.name, self.escalates);
        let render = |template: &Template| template.render(&content).map_err(SendError::Refused);
        let title = render(&self.title)?.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = render(&self.text)?.trim_end().to_owned();
        transport.send(&Outgoing { channel: &self.name, message, content: &content, title, text, picture })
    }
}

/// Checks the channels of a configuration, and reads their secrets. With a name, it looks at this channel only: wrong settings of others
/// are no obstacle.
///
/// # Errors
///
/// All problems together, each with its line: show them to the user.
pub fn load_channels(loaded: &mut Loaded, name: Option<&str>) -> Result<Vec<Arc<Channel>>, ConfigError> {
    loaded.resolve_channels(name)?;
    let (mut channels, mut problems) = (Vec::new(), Vec::new());
    let all = loaded.config.channels.iter().enumerate();
    for (index, settings) in all.filter(|(_, channel)| name.is_none_or(|name| channel.name == name)) {
        match Channel::new(settings, &loaded.config) {
            Ok(channel) => channels.push(Arc::new(channel)),
            Err((key, message)) => {
                problems.push(loaded.problem(&format!("channels[{index}].{key}"), message))
            }
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(ConfigError::Invalid(problems)) }
}

fn read_transport(settings: &ChannelSettings, samples: &[Content]) -> Result<TransportSettings, Wrong> {
    let timeout = Duration::from_secs(settings.timeout_s);
    let wrong = |(key, message): (&'static str, String)| (key.to_owned(), message);
    let template =
        |key: String, source: &str| Template::new(source, samples).map_err(|message| (key, message));
    if let Some(webhook) = &settings.webhook {
        let body = webhook.body.as_ref().map(|body| template("webhook.body".into(), body)).transpose()?;
        if let Some(body) = body.as_ref().filter(|_| webhook.content_type.contains("json")) {
            check_json(body, samples)?;
        }
        return Webhook::new(webhook, body, timeout).map(TransportSettings::Webhook).map_err(wrong);
    }
    if let Some(email) = &settings.email {
        return Email::new(email, timeout).map(TransportSettings::Email).map_err(wrong);
    }
    if let Some(mqtt) = &settings.mqtt {
        return Mqtt::new(mqtt, timeout).map(TransportSettings::Mqtt).map_err(wrong);
    }
    if let Some(ntfy) = &settings.ntfy {
        return Ntfy::new(ntfy, timeout).map(TransportSettings::Ntfy).map_err(wrong);
    }
    if let Some(command) = &settings.command {
        let arguments = command.arguments.iter().enumerate();
        let arguments: Result<Vec<Template>, Wrong> =
            arguments.map(|(at, source)| template(format!("command.arguments[{at}]"), source)).collect();
        return Ok(TransportSettings::Command(Command::new(command, arguments?, timeout)));
    }
    Ok(TransportSettings::Stdout(Stdout))
}

fn check_json(body: &Template, samples: &[Content]) -> Result<(), Wrong> {
    for sample in samples {
        let text = body.render(sample).map_err(|message| ("webhook.body".to_owned(), message))?;
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
            let message = format!(
                "does not make JSON of an alert with quotation marks: {error}; write {{{{ text | tojson }}}} without quotation marks around it"
            );
            return Err(("webhook.body".into(), message));
        }
    }
    Ok(())
}

/// No message may show these. Addresses of webhooks contain secrets, too.
fn remember_secrets(settings: &ChannelSettings) {
    let remember = |value: &Property| remember_secret(value.text().to_owned());
    if let Some(webhook) = &settings.webhook {
        remember(&webhook.url);
        webhook.secret.iter().for_each(remember);
        // Most headers are ordinary words, which messages need.
        webhook.headers.values().filter(|value| value.is_secret()).for_each(remember);
    }
    if let Some(ntfy) = &settings.ntfy {
        remember(&ntfy.url);
        ntfy.token.iter().for_each(remember);
    }
    let passwords = [
        settings.email.as_ref().and_then(|email| email.password.as_ref()),
        settings.mqtt.as_ref().and_then(|mqtt| mqtt.password.as_ref()),
    ];
    passwords.into_iter().flatten().for_each(remember);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn problems(channel: &str) -> Vec<String> {
        let text = format!("[[channels]]\nname = \"gate\"\n{channel}\n");
        let loaded = Loaded::parse(&text, Path::new("/etc/everyframe.toml"));
        match loaded.and_then(|mut loaded| load_channels(&mut loaded, None)) {
            Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        }
    }

    #[test]
    fn a_wrong_template_is_named_with_its_line() {
        let found = problems("stdout = {}\ntext = \"{{ txt }}\"");
        assert!(found[0].contains("everyframe.toml:4") && found[0].contains("channels[0].text"), "{found:?}");
        assert!(found[0].contains("there is no variable `txt`"), "{found:?}");
        let found = problems("[channels.command]\nprogram = \"/bin/sh\"\narguments = [\"a\", \"{{ b }}\"]");
        assert!(found[0].contains("channels[0].command.arguments[1]"), "{found:?}");
    }

    #[test]
    fn a_channel_can_be_loaded_though_another_is_wrong() {
        let text = "[[channels]]\nname = \"desk\"\nstdout = {}\n[[channels]]\nname = \"gate\"\n\
                    webhook = { url = { env = \"EVERYFRAME_NOBODY_SETS_THIS\" } }\n";
        let mut loaded = Loaded::parse(text, Path::new("/etc/everyframe.toml")).unwrap();
        let desk = load_channels(&mut loaded, Some("desk")).unwrap();
        assert_eq!(desk.iter().map(|channel| &*channel.name).collect::<Vec<_>>(), ["desk"]);
        assert!(load_channels(&mut loaded, Some("nobody")).unwrap().is_empty());
        let wrong = load_channels(&mut loaded, Some("gate")).err().unwrap().to_string();
        assert!(wrong.contains("everyframe.toml:6") && wrong.contains("channels[1]"), "{wrong}");
    }

    #[test]
    fn a_body_of_json_must_be_json_for_every_text() {
        let webhook = |body: &str| problems(&format!("webhook = {{ url = \"http://a/\", body = '{body}' }}"));
        let found = webhook(r#"{"text": "{{ text }}"}"#);
        assert!(found[0].contains("webhook.body") && found[0].contains("tojson"), "{found:?}");
        assert_eq!(webhook(r#"{"text": {{ text | tojson }}}"#), [""; 0]);
    }

    #[test]
    fn wrong_addresses_are_named_and_not_shown() {
        for channel in [
            "webhook = { url = \"hunter2\" }",
            "ntfy = { url = \"ftp://hunter2/\" }",
            "webhook = { url = \"http://a/\", secret = \"hunter2\" }",
            "webhook = { url = \"http://a/\", headers = { \"a b\" = \"hunter2\" } }",
        ] {
            let found = problems(channel);
            assert!(found.len() == 1 && !found[0].contains("hunter2"), "{channel}: {found:?}");
        }
        let found = problems("email = { server = \"m:25\", from = \"nobody\", to = [\"a@b.example\"] }");
        assert!(found[0].contains("channels[0].email.from") && found[0].contains("`nobody`"), "{found:?}");
    }

    #[test]
    fn channels_of_every_kind_are_accepted() {
        for channel in [
            "webhook = { url = \"https://example.org/hook\", secret = \"0123456789abcdef\" }",
            "webhook = { url = \"https://hooks.slack.com/a\", format = \"slack\" }",
            "ntfy = { url = \"https://ntfy.sh/a\" }",
            "email = { server = \"m.example:587\", from = \"E <e@m.example>\", to = [\"a@b.example\"] }",
            "mqtt = { server = \"m.example:8883\", tls = true }",
            "command = { program = \"/bin/sh\", arguments = [\"-c\", \"exit\"] }",
            "stdout = {}\ndigest_s = 3600\ntitle = \"{{ count }} {{ summary }}\"",
        ] {
            assert_eq!(problems(channel), [""; 0], "{channel}");
        }
    }
}
