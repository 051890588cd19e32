//! The grants of a rule, and their boundaries.

use super::{Bench, after};
use crate::FailureKind::{NotRun, TimedOut, Trapped};
use crate::fixtures::{judge, judge_at, runtime};
use crate::{LoadedComponent, RuleFailure, RuleState, Rules};
use everyframe_config::{Grants, Limits, RuleKind, RuleSettings};
use everyframe_test_guests::Guest;
use everyframe_types::judgement::{Decision, Judgement};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A host with the guest at camera `gate`, and a rule that behaves everywhere.
fn host(guest: &Guest, grants: Grants) -> (Rules, Bench) {
    let bench = Bench::new();
    let rule = bench.rule("granted", RuleKind::MatchingPolicy, &guest.component());
    let limits = Limits { time_ms: 500, ..rule.limits.clone() };
    let rules = [
        RuleSettings { grants, limits, cameras: vec!["gate".into()], ..rule },
        bench.rule("good", RuleKind::MatchingPolicy, &Guest::default().component()),
    ];
    (bench.load(&rules).unwrap(), bench)
}

fn judge_once(guest: &Guest, grants: Grants) -> Result<Judgement, RuleFailure> {
    let (rules, _bench) = host(guest, grants);
    judge(&rules, &mut RuleState::new(), 0, 1)
}

fn is_unknown(judged: Result<Judgement, RuleFailure>) -> bool {
    judged.unwrap().subjects[0].decision == Decision::Unknown
}

#[test]
fn a_rule_sees_only_granted_variables() {
    // One variable, its name begins with "REGI", its value with "nort".
    let guest = after(
        "import wasi:cli/environment@0.2.6;",
        r#"(import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))"#,
        "(local $it i32) (call $environment (i32.const 400))
         (if (i32.ne (i32.load (i32.const 404)) (i32.const 1)) (then unreachable))
         (local.set $it (i32.load (i32.const 400)))
         (if (i32.ne (i32.load (i32.load (local.get $it))) (i32.const 0x49474552)) (then unreachable))
         (if (i32.ne (i32.load (i32.load offset=8 (local.get $it))) (i32.const 0x74726f6e)) (then unreachable))",
    );
    let environment = BTreeMap::from([("REGION".to_owned(), "north".into())]);
    assert!(is_unknown(judge_once(&guest, Grants { environment, ..Grants::default() })));
    assert_eq!(judge_once(&guest, Grants::default()).unwrap_err().kind, Trapped);
}

const FILES: &str = "import wasi:filesystem/preopens@0.2.6; import wasi:filesystem/types@0.2.6;";

/// A guest that runs `code` with the granted folder in `$folder`. `$open` opens `path`.
fn with_folder(path: &str, code: &str) -> Guest {
    let imports = format!(
        r#"(import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $folders (param i32)))
        (import "wasi:filesystem/types@0.2.6" "[method]descriptor.open-at" (func $open_at (param i32 i32 i32 i32 i32 i32 i32)))
        (import "wasi:filesystem/types@0.2.6" "[method]descriptor.read" (func $read (param i32 i64 i64 i32)))
        (import "wasi:filesystem/types@0.2.6" "[method]descriptor.unlink-file-at" (func $unlink (param i32 i32 i32 i32)))
        (data (i32.const 600) "{path}")
        (func $open (param $folder i32) (param $how i32) (param $rights i32)
            (call $open_at (local.get $folder) (i32.const 1) (i32.const 600) (i32.const {}) (local.get $how) (local.get $rights) (i32.const 408)))"#,
        path.len()
    );
    let code = format!(
        "(local $folder i32) (call $folders (i32.const 400))
         (if (i32.ne (i32.load (i32.const 404)) (i32.const 1)) (then unreachable))
         (local.set $folder (i32.load (i32.load (i32.const 400))))
         {code}"
    );
    after(FILES, &imports, &code)
}

#[test]
fn a_rule_reads_only_the_granted_folder() {
    let site = tempfile::tempdir().unwrap();
    let folder = site.path().join("lists");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("plates.txt"), "AB12").unwrap();
    std::fs::write(site.path().join("secret"), "AB12").unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("absolute")).unwrap();
    let ask = |guest: &Guest| judge_once(guest, Grants { folder: Some(folder.clone()), ..Grants::default() });

    // It can be opened for reading (1), and begins with "AB12".
    let read = "(call $open (local.get $folder) (i32.const 0) (i32.const 1))
        (if (i32.load8_u (i32.const 408)) (then unreachable))
        (call $read (i32.load (i32.const 412)) (i64.const -1) (i64.const 0) (i32.const 420))
        (if (i32.load8_u (i32.const 420)) (then unreachable))
        (if (i32.ne (i32.load (i32.load (i32.const 424))) (i32.const 0x32314241)) (then unreachable))";
    assert!(is_unknown(ask(&with_folder("plates.txt", read))));

    // Nothing outside can be opened, nothing inside be made or written (create: 1, truncate: 8, write: 2).
    for (path, how, rights) in [
        ("../secret", 0, 1),
        ("/etc/passwd", 0, 1),
        ("link", 0, 1),
        ("absolute", 0, 1),
        ("plates.txt", 0, 2),
        ("plates.txt", 0, 3),
        ("plates.txt", 8, 1),
        ("new", 1, 3),
        ("new", 1, 1),
    ] {
        let code = format!(
            "(call $open (local.get $folder) (i32.const {how}) (i32.const {rights}))
             (if (i32.eqz (i32.load8_u (i32.const 408))) (then unreachable))"
        );
        assert!(is_unknown(ask(&with_folder(path, &code))), "{path}, {how}, {rights}");
    }
    let remove = "(call $unlink (local.get $folder) (i32.const 600) (i32.const 10) (i32.const 408))
        (if (i32.eqz (i32.load8_u (i32.const 408))) (then unreachable))";
    assert!(is_unknown(ask(&with_folder("plates.txt", remove))));
    assert_eq!(std::fs::read_to_string(folder.join("plates.txt")).unwrap(), "AB12");
    assert!(!folder.join("new").exists());

    // The folder is removed while the rule runs: the frame is parked, and the rule is not at fault.
    let (rules, _bench) =
        host(&with_folder("plates.txt", read), Grants { folder: Some(folder.clone()), ..Grants::default() });
    assert!(is_unknown(judge(&rules, &mut RuleState::new(), 0, 1)));
    std::fs::remove_dir_all(&folder).unwrap();
    let failure = judge(&rules, &mut RuleState::new(), 1, 1).unwrap_err();
    assert_eq!(failure.kind, NotRun);
    assert!(failure.message.contains("cannot be opened"), "{failure}");
}

#[test]
fn reading_an_idle_pipe_costs_only_the_rules_frame() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    // Made after the folder was granted: a configuration with such a folder is refused.
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let open = "(call $open (local.get $folder) (i32.const 0) (i32.const 1))";
    let grants = Grants { folder: Some(folder.path().to_owned()), ..Grants::default() };
    let (rules, _bench) = host(&with_folder("pipe", open), grants);
    let mut state = RuleState::new();
    let failure = judge(&rules, &mut state, 0, 1).unwrap_err();
    assert_eq!(failure.kind, TimedOut, "{failure}");
    assert!(judge_at("door", &rules, &mut state, 1, 2).is_ok());
    // Wakes the thread that waits in the system call; nothing else can.
    drop(std::fs::OpenOptions::new().write(true).open(pipe).unwrap());
}

/// A server that sends one answer. It reports each connection, and each that ends.
struct Server {
    authority: String,
    calls: Receiver<()>,
    ends: Receiver<()>,
}

impl Server {
    /// Without an answer, clients wait.
    fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let ((called, calls), (ended, ends)) = (channel(), channel());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (Ok(mut connection), ended) = (connection, ended.clone()) else { return };
                let _ = called.send(());
                std::thread::spawn(move || {
                    serve(&mut connection, answer);
                    let _ = ended.send(());
                });
            }
        });
        Self { authority, calls, ends }
    }

    fn calls(&self) -> usize {
        // A connection is accepted a moment after it is made.
        std::thread::sleep(Duration::from_millis(100));
        self.calls.try_iter().count()
    }
}

fn serve(connection: &mut TcpStream, answer: Option<&str>) {
    let mut bytes = [0; 4096];
    let _ = connection.read(&mut bytes);
    if let Some(answer) = answer {
        let _ = connection.write_all(answer.as_bytes());
    }
    // Until the other side ends it.
    while connection.read(&mut bytes).is_ok_and(|read| read > 0) {}
}

const HTTP: &str =
    "import wasi:http/outgoing-handler@0.2.6; import wasi:http/types@0.2.6; import wasi:io/poll@0.2.6;";

/// A guest that sends requests to an authority. `$request` stores a handle at 600, and 0 at 592 if the host accepted it.
fn calling(authority: &str, code: &str) -> Guest {
    let imports = format!(
        r#"(import "wasi:http/types@0.2.6" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.6" "[constructor]outgoing-request" (func $new (param i32) (result i32)))
        (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-scheme" (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-authority" (func $authority (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.6" "[method]outgoing-request.set-path-with-query" (func $path (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.6" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
        (import "wasi:http/types@0.2.6" "[method]future-incoming-response.get" (func $get (param i32 i32)))
        (import "wasi:http/types@0.2.6" "[method]incoming-response.status" (func $status (param i32) (result i32)))
        (import "wasi:http/outgoing-handler@0.2.6" "handle" (func $handle (param i32 i32 i32 i32)))
        (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
        (data (i32.const 696) "/")
        (data (i32.const 700) "{authority}")
        (func $request (local $it i32)
            (local.set $it (call $new (call $fields)))
            (drop (call $scheme (local.get $it) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
            (if (call $authority (local.get $it) (i32.const 1) (i32.const 700) (i32.const {})) (then unreachable))
            (drop (call $path (local.get $it) (i32.const 1) (i32.const 696) (i32.const 1)))
            (call $handle (local.get $it) (i32.const 0) (i32.const 0) (i32.const 592)))
        ;; The status; 0 if there is no response.
        (func $response (result i32)
            (if (i32.load8_u (i32.const 592)) (then (return (i32.const 0))))
            (call $block (call $subscribe (i32.load (i32.const 600))))
            (call $get (i32.load (i32.const 600)) (i32.const 608))
            (if (i32.load8_u (i32.const 624)) (then (return (i32.const 0))))
            (call $status (i32.load (i32.const 632))))"#,
        authority.len()
    );
    after(HTTP, &imports, code)
}

/// Sends one request, and traps unless the response has this status.
fn expecting(authority: &str, status: u16) -> Guest {
    let code =
        format!("(call $request) (if (i32.ne (call $response) (i32.const {status})) (then unreachable))");
    calling(authority, &code)
}

fn calls(hosts: &[&str]) -> Grants {
    Grants { http: Some(hosts.iter().map(ToString::to_string).collect()), ..Grants::default() }
}

#[test]
fn a_rule_reaches_only_granted_hosts() {
    let server = Server::start(Some("HTTP/1.1 204 No Content\r\n\r\n"));
    let authority = server.authority.as_str();
    assert!(is_unknown(judge_once(&expecting(authority, 204), calls(&["a.example", authority]))));
    assert_eq!(server.calls(), 1);
    // The same server, but under names that are not granted. The guest gets an error and no response.
    let port = authority.split(':').nth(1).unwrap();
    for called in
        [&format!("localhost:{port}"), &format!("127.0.0.1.:{port}"), &format!("granted@127.0.0.1:{port}")]
    {
        let guest = calling(
            called,
            "(call $request) (if (i32.ne (call $response) (i32.const 0)) (then unreachable))",
        );
        let judged = judge_once(&guest, calls(&[authority]));
        // The guest cannot even set an invalid authority.
        assert!(
            judged.as_ref().is_ok_and(|it| it.subjects[0].decision == Decision::Unknown)
                || judged.is_err_and(|failure| failure.kind == Trapped),
            "{called}"
        );
    }
    let guest =
        calling(authority, "(call $request) (if (i32.ne (call $response) (i32.const 0)) (then unreachable))");
    assert!(is_unknown(judge_once(&guest, calls(&[]))));
    assert_eq!(server.calls(), 0);
}

#[test]
fn a_redirect_is_returned_and_not_followed() {
    let secret = Server::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let location =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", secret.authority);
    let server = Server::start(Some(location.leak()));
    assert!(is_unknown(judge_once(&expecting(&server.authority, 302), calls(&[&server.authority]))));
    assert_eq!((server.calls(), secret.calls()), (1, 0));
}

#[test]
fn a_silent_server_costs_only_the_rules_frame() {
    let server = Server::start(None);
    let (rules, _bench) = host(&expecting(&server.authority, 204), calls(&[&server.authority]));
    let mut state = RuleState::new();
    let start = Instant::now();
    let failure = judge(&rules, &mut state, 0, 1).unwrap_err();
    let took = start.elapsed();
    assert_eq!(failure.kind, TimedOut, "{failure}");
    assert!(failure.message.contains("waiting"), "{failure}");
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
    assert!(judge_at("door", &rules, &mut state, 1, 2).is_ok());
    // The connection of the abandoned call ends.
    server.ends.recv_timeout(Duration::from_secs(5)).unwrap();
}

#[test]
fn a_call_sends_a_limited_number_of_requests() {
    let server = Server::start(None);
    let guest = calling(
        &server.authority,
        "(local $n i32) (local $first i32) (call $request) (local.set $first (i32.load (i32.const 600)))
         (loop (call $request) (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 40))))
         (if (i32.ne (call $response) (i32.const 0)) (then unreachable))
         (call $block (call $subscribe (local.get $first)))",
    );
    // The last request is refused at once. The guest waits for the first, so that the others are sent meanwhile.
    assert_eq!(judge_once(&guest, calls(&[&server.authority])).unwrap_err().kind, TimedOut);
    assert_eq!(server.calls(), Limits::default().http_requests);
}

#[test]
fn required_grants_are_listed_before_they_are_given() {
    let guest = calling("a.example", "(call $request)");
    let bench = Bench::new();
    let rule = bench.rule("policy", RuleKind::MatchingPolicy, &guest.component());
    let component = LoadedComponent::read(&rule, runtime().handle().clone(), None).unwrap();
    let component_info = component.component_info();
    assert_eq!(component_info.required_grants, ["grants.http"]);
    assert_eq!(component_info.problems(None, &calls(&[])).len(), 0);
    let problems = component_info.problems(None, &Grants::default());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].1.to_string().contains("`grants.http`"), "{problems:?}");
}

#[test]
fn an_invalid_host_grant_is_refused_at_load() {
    let bench = Bench::new();
    let rule = bench.rule("policy", RuleKind::MatchingPolicy, b"never read");
    let rule = RuleSettings { grants: calls(&["https://a.example/"]), ..rule };
    let message = bench.load(&[rule]).unwrap_err().to_string();
    assert!(message.starts_with("rules.policy.grants.http: `https://a.example/` is not a host"), "{message}");
}
