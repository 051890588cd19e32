//! A site whose host serves the HTTP API.

use crate::{Http, Part, Site, free_port, pictures, shipped_rules, wait_for};
use serde_json::Value;

/// A site whose host serves the API.
pub struct Served {
    /// The site.
    pub site: Site,
    /// A client of the API.
    pub http: Http,
    _host: Part,
}

impl Served {
    /// With a man who is enrolled as viktor.
    pub fn start() -> Self {
        let site = Site::start(2);
        let man = pictures::man();
        site.enrol("viktor", &[&man[0], &man[30]]);
        Self::on(site)
    }

    /// On a site that is not started yet. Waits until the API knows the history.
    pub fn on(site: Site) -> Self {
        Self::with_rules(site, &shipped_rules(""))
    }

    /// The same with these rules.
    pub fn with_rules(site: Site, rules: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        site.configure(&format!("[web]\nlisten = \"{address}\"\n"), rules);
        let host = site.host();
        let http = client_of(&address);
        wait_for_history(&http);
        Self { site, http, _host: host }
    }

    /// The JSON answer to a path below `/api/v1`.
    pub fn get(&self, path: &str) -> Value {
        self.http.get(&format!("/api/v1{path}")).expect(200)
    }

    /// Waits until the answer to `path` has what is wanted.
    pub fn wait<T>(&self, path: &str, what: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(path, || what(&self.get(path)))
    }

    /// Whether the address has a JPEG.
    pub fn is_jpeg(&self, address: &Value) -> bool {
        let answer = self.http.get(address.as_str().expect("an address"));
        answer.status == 200 && answer.body.starts_with(&[0xff, 0xd8])
    }
}

/// Starts `everyframe serve` on a site, and waits until it answers.
pub fn serve(site: &Site) -> (Part, Http) {
    let address = format!("127.0.0.1:{}", free_port());
    let server = site.start_everyframe("serve", &["serve", "--listen", &address]);
    (server, client_of(&address))
}

fn client_of(address: &str) -> Http {
    let http = Http::new(address);
    wait_for("the API", || http.try_get("/api/v1/session"));
    http
}

/// Waits until a server has read the topics.
pub fn wait_for_history(http: &Http) {
    wait_for("the history", || {
        http.get("/api/v1/ledger").json()["isComplete"].as_bool().filter(|complete| *complete)
    });
}

/// The entries of a list in an answer.
pub fn list<'a>(answer: &'a Value, key: &str) -> &'a Vec<Value> {
    answer[key].as_array().unwrap_or_else(|| panic!("no list `{key}` in {answer}"))
}
