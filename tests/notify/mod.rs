//! Notifications, against real servers on this machine: HTTP servers that fail in many ways, Mosquitto, an SMTP server.

mod deliveries_after_kills;
mod delivery;
mod pacing;
mod servers;
mod views;

use everyframe_tests::{Part, Receiver, Site, shipped_rules};

/// A site whose notifier has these channels, as TOML.
struct Notified {
    site: Site,
    notifier: Part,
}

impl Notified {
    /// Starts the notifier, and waits until each of the channels has its partition.
    fn start(channels: &str) -> Self {
        Self::on(Site::start(1), channels)
    }

    fn on(site: Site, channels: &str) -> Self {
        site.configure(channels, &shipped_rules(""));
        let mut notifier = site.start_everyframe("notify", &["notify"]);
        let count = channels.matches("[[channels]]").count();
        notifier.wait_for_words("partition assigned", count);
        Self { site, notifier }
    }
}

/// A channel that sends to a webhook, with further lines.
fn webhook(name: &str, receiver: &Receiver, lines: &str) -> String {
    format!(
        "[[channels]]\nname = \"{name}\"\nwebhook = {{ url = \"http://{}/hook\" }}\n{lines}\n",
        receiver.address
    )
}
