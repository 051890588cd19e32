//! Who may use the HTTP API, and what hostile clients get.

use everyframe_tests::{Frame, Http, Part, Site, free_port, pictures, places, shipped_rules, wait_for};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

/// The API of a site with a token for each role.
struct Guarded {
    http: Http,
    tokens: BTreeMap<&'static str, String>,
    _serve: Part,
}

impl Guarded {
    fn start(site: &Site) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut tables = format!("[web]\nlisten = \"{address}\"\n");
        let mut tokens = BTreeMap::new();
        for role in ["view", "enrol", "admin"] {
            let mut command = site.command(&["token", &format!("{role}-er"), "--role", role]);
            let made = command.output().expect("a token is made");
            tables += &String::from_utf8_lossy(&made.stdout);
            let told = String::from_utf8_lossy(&made.stderr).into_owned();
            let token = told.trim().rsplit(' ').next().expect("a token").to_owned();
            assert!(!tables.contains(&token), "the configuration has only the hash");
            tokens.insert(role, token);
        }
        site.configure(&tables, &shipped_rules(""));
        let serve = site.start_everyframe("serve", &["serve"]);
        let http = Http::new(&address);
        wait_for("the API", || http.try_get("/api/v1/session"));
        Self { http, tokens, _serve: serve }
    }

    fn with_role(&self, role: &str) -> Http {
        self.http.with("Authorization", &format!("Bearer {}", self.tokens[role]))
    }
}

#[test]
fn a_role_limits_what_a_token_may_do() {
    let site = Site::start(1);
    let guarded = Guarded::start(&site);
    let (http, of) = (&guarded.http, |role: &str| guarded.with_role(role));
    assert_eq!(http.get("/api/v1/cameras").status, 401);
    assert_eq!(http.get("/api/v1/cameras").header("www-authenticate"), "Bearer");
    assert_eq!(http.with("Authorization", "Bearer guess").get("/api/v1/cameras").status, 401);
    let man = &pictures::man()[0];
    let status = |role: &str, path: &str| of(role).request("POST", path, "image/jpeg", man).status;
    assert_eq!(of("view").get("/api/v1/cameras").status, 200);
    assert_eq!(of("view").get("/api/v1/session").json()["name"], "view-er");
    assert_eq!([status("view", "/api/v1/identify"), status("view", "/api/v1/frames/door")], [403, 403]);
    assert_eq!([status("enrol", "/api/v1/identify"), status("enrol", "/api/v1/frames/door")], [200, 403]);
    assert_eq!(status("admin", "/api/v1/frames/door"), 202);
}

#[test]
fn a_browser_signs_in_and_proves_each_change() {
    let site = Site::start(1);
    let guarded = Guarded::start(&site);
    let (http, token) = (&guarded.http, &guarded.tokens["enrol"]);
    assert_eq!(http.json("POST", "/api/v1/session", &json!({ "token": "guess" })).status, 401);
    let answer = http.json("POST", "/api/v1/session", &json!({ "token": token }));
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let csrf = answer.expect(200)["csrf"].as_str().expect("a value").to_owned();
    let browser = http.with("Cookie", cookie.split(';').next().expect("a pair"));
    assert_eq!(browser.get("/api/v1/people").status, 200);
    let change =
        |client: &Http| client.json("PATCH", "/api/v1/people/nobody", &json!({ "name": "A" })).status;
    assert_eq!(change(&browser), 403, "without the second value");
    assert_eq!(change(&browser.with("x-csrf-token", &csrf)), 404, "nobody is enrolled");
    let other_site = browser.with("x-csrf-token", &csrf).with("Origin", "https://evil.example");
    assert_eq!(change(&other_site), 403);
    assert_eq!(browser.with("x-csrf-token", &csrf).request("DELETE", "/api/v1/session", "", b"").status, 204);
    assert_eq!(browser.get("/api/v1/people").status, 401);
}

#[test]
fn an_open_address_needs_a_token() {
    let site = Site::start(1);
    let ended = site.start_everyframe("serve", &["serve", "--listen", "0.0.0.0:0"]).end();
    assert_eq!(ended.code, Some(2), "{}", ended.err);
    assert!(ended.err.contains("everyframe token"), "{}", ended.err);
}

#[test]
fn wrong_requests_are_explained() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    let _serve = site.start_everyframe("serve", &["serve", "--listen", &address]);
    let http = Http::new(&address);
    wait_for("the API", || http.try_get("/api/v1/session"));
    for (path, status, word) in [
        ("/api/v1/nothing", 404, "openapi.json"),
        ("/api/v1/alerts?limit=0", 400, "from 1 to 500"),
        ("/api/v1/alerts?limit=many", 400, "limit"),
        ("/api/v1/alerts?before=1", 400, "next"),
        ("/api/v1/sightings?before=1~x", 400, "next"),
        ("/api/v1/results/a/b", 400, ""),
        ("/api/v1/results/0/999999", 404, "history"),
        ("/api/v1/frames/0/999999/picture", 410, "retention"),
        ("/api/v1/frames/-1/-5/picture", 410, "retention"),
        ("/api/v1/frames/77/5/picture", 410, "retention"),
        ("/api/v1/frames/0/0/picture?width=1", 400, "from 16"),
        ("/api/v1/events?kinds=weather", 400, "frame, alert"),
        ("/api/v1/dead-letters?state=lost", 400, "open"),
        ("/api/v1/people/nobody", 404, "nobody"),
        ("/api/v1/people/%ff", 400, ""),
    ] {
        let answer = http.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        let problem = answer.json();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{path}: {problem}");
    }
    for (method, path, body, status) in [
        ("POST", "/api/v1/people", "{}", 422),
        ("POST", "/api/v1/people", "nonsense", 400),
        ("POST", "/api/v1/people", r#"{"name":"A","stranger":"none"}"#, 404),
        ("POST", "/api/v1/people", r#"{"name":"","stranger":"none"}"#, 422),
        ("POST", "/api/v1/dead-letters/drop", "{}", 422),
        ("POST", "/api/v1/dead-letters/drop", r#"{"frames":[{"partition":-1,"offset":0}]}"#, 422),
        ("PUT", "/api/v1/alerts/none/acknowledgement", "{}", 404),
        ("POST", "/api/v1/identify", "", 400),
        ("POST", "/api/v1/identify", "no picture", 422),
    ] {
        let answer = http.request(method, path, "application/json", body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    let large = http.request("POST", "/api/v1/people", "application/json", &vec![b' '; 100_000]);
    assert_eq!(large.status, 413, "{}", large.text());
}

#[test]
fn a_page_may_load_nothing_from_elsewhere() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    let _serve = site.start_everyframe("serve", &["serve", "--listen", &address]);
    let http = Http::new(&address);
    wait_for("the API", || http.try_get("/api/v1/session"));
    for path in ["/", "/people/anna", "/api/v1/cameras"] {
        let answer = http.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert!(
        http.get("/").text().contains("<!doctype html>") || http.get("/").text().contains("<!DOCTYPE html>")
    );
    let rebound = Http::new(&address).with("Host", "evil.example");
    assert_eq!(rebound.get("/api/v1/cameras").status, 403);
}

#[test]
fn slow_clients_do_not_keep_others_waiting() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    let _serve = site.start_everyframe("serve", &["serve", "--listen", &address]);
    let http = Http::new(&address);
    wait_for("the API", || http.try_get("/api/v1/session"));
    // Each begins a request, and never ends it: more than there are places.
    let slow: Vec<TcpStream> = (0..600)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).expect("a connection");
            stream.write_all(b"POST /api/v1/identify HTTP/1.1\r\nHost: ").expect("a beginning");
            stream
        })
        .collect();
    wait_for("an answer", || http.try_get("/api/v1/cameras").filter(|answer| answer.status == 200));
    drop(slow);
}

/// Schemathesis makes requests from the description of the API, right ones and wrong ones, and checks each answer against it.
#[test]
fn every_answer_is_as_the_description_says() {
    let site = Site::start(1);
    let address = format!("127.0.0.1:{}", free_port());
    site.configure(&format!("[web]\nlisten = \"{address}\"\n"), &shipped_rules(""));
    let man = pictures::man();
    site.enrol("viktor", &[&man[0]]);
    let _host = site.host();
    site.send(&[Frame::stream("office", &man[..20]), vec![Frame::new("yard", b"no picture")]].concat());
    site.settled_audit();
    let mut schemathesis = Command::new(places::cached("python/bin/schemathesis"));
    // It keeps what it found in the folder where it runs.
    schemathesis.current_dir(site.folder());
    schemathesis.arg("run").arg(format!("http://{address}/api/openapi.json")).args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "4",
        "--generation-database",
        "none",
        // A stream has no end, and an audit is run by another test.
        "--exclude-path",
        "/api/v1/events",
        "--exclude-path",
        "/api/v1/ledger/audit",
    ]);
    let ended = site.run(&mut schemathesis);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}
