//! How soon a webhook has an alert: from the capture of the frame, on one node and one host of this machine.
//!
//! `cargo bench --workspace --bench notify`: four cameras at a steady rate; a known man raises an alert at each of them every
//! two seconds. The host sends the alerts itself.
//!
//!   RATE=N     frames a second of all cameras (default 20)
//!   SECONDS=N  how long (default 60)

use everyframe_tests::{Feed, Frame, Receiver, Site, pictures, shipped_rules};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CAMERAS: usize = 4;
/// How often one camera's man raises an alert, milliseconds.
const COOLDOWN_MS: i64 = 2000;
/// For models and compilers.
const WARM_UP: Duration = Duration::from_secs(15);

fn main() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (rate, seconds) = (number("RATE", 20), number("SECONDS", 60));
    let receiver = Receiver::start();
    let site = Site::start(CAMERAS as i32);
    let channel = format!(
        "[intake]\nworkers = 0\n\n[[channels]]\nname = \"guard\"\nwebhook = {{ url = \"http://{}/hook\" }}\n",
        receiver.address
    );
    site.configure(&channel, &shipped_rules(&format!("cooldown_ms = {COOLDOWN_MS}")));
    let man = pictures::man();
    site.enrol("viktor", &[&man[0], &man[30]]);
    let mut host = site.start_everyframe("host", &["run"]);
    host.wait_for_words("partition assigned", CAMERAS + 1);
    let began = now();
    let nobody = pictures::grey(640, 360);
    let frames = (0usize..).map(move |turn| {
        let (number, camera) = (turn / CAMERAS, turn % CAMERAS);
        // Into each camera's sight in his turn, or the four alerts would come at once.
        let comes = began + camera as i64 * COOLDOWN_MS / CAMERAS as i64;
        let picture = if now() < comes { &nobody } else { &man[number % man.len()] };
        let stamp = Some(("session-1".into(), number as u64, now()));
        Frame { stamp, ..Frame::new(&format!("camera-{camera}"), picture).to(camera as i32) }
    });
    let feed = Feed::start(&site, u32::try_from(rate).unwrap_or(20), frames);
    std::thread::sleep(WARM_UP);
    let from = now();
    std::thread::sleep(Duration::from_secs(seconds));
    feed.stop();
    std::thread::sleep(Duration::from_secs(2));
    let mut delays: Vec<i64> = receiver
        .requests()
        .iter()
        .filter_map(|request| Some((request.at, request.json()["data"]["capturedAt"].as_i64()?)))
        .filter(|(_, captured)| *captured >= from)
        .map(|(received, captured)| received - captured)
        .collect();
    delays.sort_unstable();
    let at = |part: f64| delays.get((part * delays.len() as f64) as usize).copied().unwrap_or(-1);
    println!(
        "{rate} frames/s of {CAMERAS} cameras, {} alerts; from capture to webhook, milliseconds:",
        delays.len()
    );
    println!("p50 {}, p90 {}, p99 {}, most {}", at(0.5), at(0.9), at(0.99), at(0.999_999));
    host.terminate();
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}
