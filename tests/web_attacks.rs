//! Attacks on the HTTP API, after the OWASP API Security Top 10: nothing is let in, and nothing is told.

use everyframe_tests::{Frame, Http, Part, Site, Topic, pictures, shipped_rules, wait_for};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A dashboard with a token of each role.
struct Served {
    site: Site,
    serve: Part,
    http: Http,
    tokens: Vec<(&'static str, String)>,
}

impl Served {
    fn start(more: &str) -> Self {
        let site = Site::start(1);
        let mut tables = String::new();
        let mut tokens = Vec::new();
        for role in ["view", "enrol", "admin"] {
            let made = site.run(&mut site.command(&["token", role, "--role", role]));
            tables += &made.out;
            let token = made.err.trim().rsplit(' ').next().expect("a token").to_owned();
            tokens.push((role, token));
        }
        site.configure(&format!("{more}{tables}"), &shipped_rules(""));
        let mut command = site.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--config").arg(site.config()).env("RUST_LOG", "trace,librdkafka=debug");
        let mut serve = Part::start("serve", site.folder(), &mut command);
        serve.wait_for_word("dashboard at http://");
        let log = serve.err();
        let address =
            log.split("dashboard at http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let http = Http::new(address.expect("an address"));
        Self { site, serve, http, tokens }
    }

    fn with_role(&self, role: &str) -> Http {
        let (_, token) = self.tokens.iter().find(|(name, _)| *name == role).expect("a role");
        self.http.with("Authorization", &format!("Bearer {token}"))
    }
}

/// Method and path of each operation of the API, with made-up values for its parameters.
fn operations(description: &Value) -> Vec<(String, String)> {
    let paths = description["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let path = path.split('/').map(|part| if part.starts_with('{') { "0" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let methods = methods.as_object().expect("methods").keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn no_operation_is_open_without_its_role() {
    let served = Served::start("");
    let operations = operations(&served.http.get("/api/openapi.json").expect(200));
    assert!(operations.len() > 25, "{operations:?}");
    let (view, forged) = (served.with_role("view"), served.http.with("Authorization", "Bearer forged"));
    for (method, path) in &operations {
        if (method.as_str(), path.as_str()) == ("POST", "/api/v1/session") {
            continue;
        }
        for nobody in [&served.http, &forged] {
            let answer = nobody.request(method, path, "application/json", b"{}");
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
        }
        let is_own_session = path == "/api/v1/session";
        if method != "GET" && !is_own_session {
            let answer = view.request(method, path, "application/json", b"{}");
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        }
    }
    // What only an administrator may do.
    let enrol = served.with_role("enrol");
    for path in [
        "/api/v1/dead-letters/drop",
        "/api/v1/dead-letters/replay",
        "/api/v1/ledger/audit",
        "/api/v1/frames/gate",
    ] {
        assert_eq!(enrol.request("POST", path, "application/json", b"{}").status, 403, "{path}");
    }
    assert_eq!(served.site.count(Topic::Trail), 0, "refused requests are not entered as done");
}

#[test]
fn paths_lead_nowhere_else() {
    let served = Served::start("");
    std::fs::write(served.site.folder().join("secret.txt"), "hunter2").expect("a file");
    let admin = served.with_role("admin");
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/../../etc/passwd",
        "/assets/..%5c..%5cetc%5cpasswd",
        "//etc/passwd",
        "/etc/passwd%00.js",
        "/api/v1/people/..%2f..%2fetc%2fpasswd",
        "/api/v1/people/viktor/samples/..%2f..%2fetc%2fpasswd",
        "/api/v1/../../secret.txt",
    ] {
        let answer = admin.get(path);
        let text = answer.text();
        assert!(!text.contains("root:") && !text.contains("hunter2"), "{path}: {text}");
        let is_page = answer.status == 200 && text.to_lowercase().contains("<!doctype html>");
        assert!(is_page || (400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
}

#[test]
fn nobody_forges_headers_or_lines_of_the_log() {
    let served = Served::start("");
    let admin = served.with_role("admin");
    let names = ["a\r\nSet-Cookie: x=1", "a\nERROR forged line", "\u{1b}[2Jgone", "\u{202e}reversed"];
    for name in names {
        let answer = admin.json("POST", "/api/v1/people", &json!({ "name": name, "stranger": "none" }));
        assert!((400..500).contains(&answer.status), "{name:?}: {}", answer.status);
        assert_eq!(answer.header("set-cookie"), "", "{name:?}");
    }
    for path in ["/api/v1/people/a%0d%0aSet-Cookie:%20x=1", "/api/v1/people/a%0aERROR%20forged%20line"] {
        let answer = admin.get(path);
        assert_eq!((answer.status, answer.header("set-cookie")), (404, ""), "{path}");
        assert!(!answer.text().contains('\n'), "{path}");
    }
    let log = served.serve.err();
    assert!(!log.lines().any(|line| line.starts_with("ERROR forged")), "{log}");
    assert!(!log.contains("\u{1b}[2J") && !log.contains('\u{202e}'));
}

#[test]
fn malformed_and_oversized_requests_harm_nobody() {
    let served = Served::start("");
    let send = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&served.http.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (_, token) = &served.tokens[2];
    let head = format!("Host: {}\r\nAuthorization: Bearer {token}\r\n", served.http.address);
    let many = (0..500).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
    for request in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\n{head}\r\n", "a".repeat(1 << 20)).into_bytes(),
        format!("GET /api/v1/cameras HTTP/1.1\r\n{head}{many}\r\n").into_bytes(),
        // Two lengths, and a length beside chunks: request smuggling.
        format!("POST /api/v1/identify HTTP/1.1\r\n{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")
            .into_bytes(),
        format!("POST /api/v1/identify HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n").into_bytes(),
        format!("POST /api/v1/identify HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n")
            .into_bytes(),
    ] {
        let answer = send(&request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{shown}: {answer}");
    }
    let admin = served.with_role("admin");
    let large = admin.request("POST", "/api/v1/identify", "image/jpeg", &vec![0; 40 << 20]);
    assert_eq!(large.status, 413);
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let nested = admin.request("POST", "/api/v1/people", "application/json", deep.as_bytes());
    assert!((400..500).contains(&nested.status), "{}", nested.status);
    assert_eq!(admin.get("/api/v1/cameras").status, 200);
}

#[test]
fn secrets_are_in_no_log_and_no_process_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("encryption.key");
    let site = Site::start(1);
    site.run(site.command(&["gallery", "make-key"]).arg(&path)).expect_success();
    let mut secrets = vec![std::fs::read_to_string(&path).expect("a key").trim().to_owned()];
    let file = format!("{{ file = \"{}\" }}", path.display());
    let served = Served::start(&format!("[privacy]\nkeys = [{file}]\nsigning_key = {file}\n\n"));
    secrets.extend(served.tokens.iter().map(|(_, token)| token.clone()));
    let admin = served.with_role("admin");
    let man = pictures::man();
    admin.request("POST", "/api/v1/people/viktor/samples?consent=yes", "image/jpeg", &man[30]).expect(201);
    admin.request("POST", "/api/v1/identify", "image/jpeg", &man[0]).expect(200);
    admin.request("DELETE", "/api/v1/people/viktor", "", b"").expect(200);
    served.site.send(&Frame::stream("gate", &man[..1]));
    wait_for("the trail", || (served.site.count(Topic::Trail) >= 3).then_some(()));
    let process = format!("/proc/{}/cmdline", served.serve.id());
    let listed = std::fs::read_to_string(process).expect("the command line");
    let log = served.serve.err() + &served.serve.out();
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()) && !listed.contains(secret.as_str()), "a secret is shown");
    }
}
