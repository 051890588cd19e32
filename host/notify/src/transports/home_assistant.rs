//! The topics of MQTT, and the descriptions by which Home Assistant discovers a device for each camera and person. Pure.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery>

use super::Outgoing;
use everyframe_config::MqttSettings;
use everyframe_types::hexadecimal::hexadecimal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The content.
    pub payload: Vec<u8>,
    /// The broker keeps it: the description of a device.
    pub is_retained: bool,
}

/// Makes the messages of an alert.
pub struct HomeAssistant {
    prefix: String,
    discovery: Option<String>,
    person_kinds: Vec<String>,
}

/// What a device is made of.
struct Device<'a> {
    /// `camera` or `person`.
    kind: &'a str,
    id: &'a str,
}

impl HomeAssistant {
    /// With the topics of these settings.
    pub fn new(settings: &MqttSettings) -> Self {
        Self {
            prefix: settings.prefix.clone(),
            discovery: settings.discovery.clone(),
            person_kinds: settings.person_kinds.clone(),
        }
    }

    /// The messages of an alert or a digest, in the order in which they are to be published.
    pub fn publications(&self, outgoing: &Outgoing<'_>) -> Vec<Published> {
        let event = outgoing.message.cloud_event(outgoing.channel);
        let sent = |topic: String, payload: Vec<u8>| Published { topic, payload, is_retained: false };
        let [alert] = outgoing.message.alerts.as_slice() else {
            return vec![sent(format!("{}/digest", self.prefix), event)];
        };
        let alert = &alert.raised;
        let camera = Device { kind: "camera", id: &alert.camera };
        let mut all = self.describe_camera(&camera, outgoing.picture.is_some());
        // The picture first: an automation that the alert starts may show it.
        if let Some(picture) = &outgoing.picture {
            all.push(sent(self.topic(&camera, "picture"), picture.to_vec()));
        }
        if self.person_kinds.contains(&alert.kind) {
            let person = Device { kind: "person", id: &alert.subject };
            all.extend(self.describe_person(&person));
            all.push(sent(self.topic(&person, "seen"), event.clone()));
        }
        all.push(sent(self.topic(&camera, "alert"), event));
        all
    }

    fn topic(&self, device: &Device<'_>, what: &str) -> String {
        format!("{}/{}/{}/{what}", self.prefix, device.kind, slug(device.id))
    }

    fn describe_camera(&self, camera: &Device<'_>, has_picture: bool) -> Vec<Published> {
        let alert = event_sensor("Last alert", "mdi:cctv", &self.topic(camera, "alert"), "text");
        let mut all: Vec<Published> = self.describe(camera, "sensor", "alert", alert).into_iter().collect();
        if has_picture {
            let picture = json!({
                "name": "Last picture",
                "image_topic": self.topic(camera, "picture"),
                "content_type": "image/jpeg",
            });
            all.extend(self.describe(camera, "image", "picture", picture));
        }
        all
    }

    fn describe_person(&self, person: &Device<'_>) -> Option<Published> {
        let seen = event_sensor("Last seen at", "mdi:account", &self.topic(person, "seen"), "camera");
        self.describe(person, "sensor", "seen", seen)
    }

    /// The description of one entity of a device; none without discovery.
    fn describe(
        &self,
        device: &Device<'_>,
        component: &str,
        what: &str,
        mut entity: Value,
    ) -> Option<Published> {
        let discovery = self.discovery.as_ref()?;
        let id = format!("everyframe_{}_{}", device.kind, slug(device.id));
        entity["unique_id"] = json!(format!("{id}_{what}"));
        entity["origin"] = json!({ "name": "Everyframe" });
        entity["device"] = json!({
            "identifiers": [id],
            "name": device.id,
            "manufacturer": "Everyframe",
            "model": device.kind,
        });
        Some(Published {
            topic: format!("{discovery}/{component}/{id}/{what}/config"),
            payload: entity.to_string().into_bytes(),
            is_retained: true,
        })
    }
}

/// An id as a part of a topic: ASCII letters, digits, `-` and `_`. Different ids stay different, by a hash at the end of those that
/// change.
fn slug(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
        .collect();
    if plain == id {
        return plain;
    }
    let hash = hexadecimal(&Sha256::digest(id.as_bytes()));
    format!("{plain}_{}", hash.get(..8).unwrap_or(&hash))
}

/// A sensor whose state is a field of the events in a topic, and whose attributes are the event's data.
fn event_sensor(name: &str, icon: &str, topic: &str, field: &str) -> Value {
    json!({
        "name": name,
        "icon": icon,
        "state_topic": topic,
        // A state has at most 255 characters.
        "value_template": format!("{{{{ value_json.data.{field}[:250] }}}}"),
        "json_attributes_topic": topic,
        "json_attributes_template": "{{ value_json.data | tojson }}",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Alert;
    use crate::message::Message;
    use crate::sample::test_alert;
    use everyframe_types::raised_alert::RaisedAlert;
    use std::sync::Arc;

    fn topics(discovery: &str, kind: &str, picture: Option<Arc<Vec<u8>>>, count: usize) -> Vec<String> {
        let settings = format!("server = \"a:1\"\n{discovery}");
        let topics = HomeAssistant::new(&toml::from_str(&settings).unwrap());
        let Alert { raised, json } = test_alert("a", 0);
        let raised =
            RaisedAlert { kind: kind.into(), camera: "Tor 1".into(), subject: "anna".into(), ..raised };
        let alert = Arc::new(Alert { raised, json });
        let alerts = vec![alert; count];
        let message = Message { id: "b".into(), alerts };
        let content = message.content("a", false);
        let (title, text) = (String::new(), String::new());
        let outgoing = Outgoing { channel: "a", message: &message, content: &content, title, text, picture };
        topics.publications(&outgoing).into_iter().map(|message| message.topic).collect()
    }

    #[test]
    fn an_alert_goes_to_the_topic_of_its_camera() {
        let [only] = topics("", "loitering", None, 1).try_into().unwrap();
        assert!(only.starts_with("everyframe/camera/Tor_1_") && only.ends_with("/alert"), "{only}");
        assert_eq!(topics("prefix = \"site/a\"", "loitering", None, 2), ["site/a/digest"]);
    }

    #[test]
    fn cameras_and_people_become_devices() {
        let found = topics("discovery = \"homeassistant\"", "known-person", Some(Arc::default()), 1);
        let parts =
            ["sensor/everyframe_camera_Tor_1_", "image/everyframe_camera_Tor_1_", "everyframe/camera/Tor_1_"];
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(parts.iter().zip(&found).all(|(part, topic)| topic.contains(part)), "{found:?}");
        assert_eq!(found[3], "homeassistant/sensor/everyframe_person_anna/seen/config");
        assert_eq!(found[4], "everyframe/person/anna/seen");
        assert!(found[5].ends_with("/alert"));
    }

    #[test]
    fn different_ids_have_different_topics() {
        assert_eq!(slug("gate-2"), "gate-2");
        assert_ne!(slug("gate 2"), slug("gate/2"));
        assert!(slug("Tür").bytes().all(|byte| byte.is_ascii()));
    }
}
