//! Programs: one is started for each message, without a shell.

use super::{Outgoing, SendError, Transport};
use crate::template::Template;
use everyframe_config::CommandSettings;
use everyframe_kafka::remember_secret;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How often a program is checked for its end.
const CHECK: Duration = Duration::from_millis(5);
/// How much of its standard error an error shows, bytes.
const SHOWN: u64 = 300;
/// How long the end of its standard error is waited for: a program that it left behind may keep it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Starts a program for each message.
#[derive(Clone)]
pub struct Command {
    program: PathBuf,
    arguments: Arc<Vec<Template>>,
    environment: Vec<(String, String)>,
    timeout: Duration,
}

impl Command {
    /// A channel of a checked configuration whose secrets were read.
    pub fn new(settings: &CommandSettings, arguments: Vec<Template>, timeout: Duration) -> Self {
        let environment = settings.environment.iter();
        settings
            .environment
            .values()
            .filter(|value| value.is_secret())
            .for_each(|value| remember_secret(value.text().to_owned()));
        Self {
            program: settings.program.clone(),
            arguments: Arc::new(arguments),
            environment: environment.map(|(name, value)| (name.clone(), value.text().to_owned())).collect(),
            timeout,
        }
    }

    fn start(&self, outgoing: &Outgoing<'_>) -> Result<Child, SendError> {
        let render = |template: &Template| template.render(outgoing.content).map_err(SendError::Refused);
        let arguments: Vec<String> = self.arguments.iter().map(render).collect::<Result<_, _>>()?;
        let mut command = std::process::Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        // A group of its own, so that what it starts ends with it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().map_err(|error| {
            SendError::failed(format!("{} cannot be started: {error}", self.program.display()))
        })
    }
}

impl Transport for Command {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let deadline = Instant::now() + self.timeout;
        let mut child = self.start(outgoing)?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        feed(&mut child, outgoing.message.cloud_event(outgoing.channel));
        let last_words = collect_errors(&mut child);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(CHECK),
                Ok(None) => break None,
                Err(error) => {
                    return Err(SendError::failed(format!("the program cannot be waited for: {error}")));
                }
            }
        };
        // Also after its end: what it left behind has no time left.
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let Some(status) = status else {
            let _ = child.wait();
            return Err(SendError::failed(format!(
                "the program ran for more than {} s and was killed",
                self.timeout.as_secs()
            )));
        };
        if status.success() {
            return Ok(());
        }
        let said = last_words.recv_timeout(LAST_WORDS).unwrap_or_default();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(SendError::failed(format!("the program failed ({status}){said}")))
    }
}

/// Writes the body to the program's standard input. A program need not read it.
fn feed(child: &mut Child, body: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || stdin.write_all(&body));
    }
}

/// Collects the beginning of the program's standard error.
fn collect_errors(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    if let Some(mut stderr) = child.stderr.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = (&mut stderr).take(SHOWN).read_to_end(&mut bytes);
            let _ =
                sender.send(String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" "));
            // A full pipe would stop the program.
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, sample_contents};
    use crate::sample::test_alert;
    use std::path::Path;

    fn send(script: &str, folder: &Path, timeout: Duration) -> Result<(), SendError> {
        let settings: CommandSettings = toml::from_str(&format!(
            "program = \"/bin/sh\"\nenvironment = {{ OUT = \"{}\" }}",
            folder.display()
        ))
        .unwrap();
        let samples = sample_contents("gate");
        let arguments = ["-c", script, "name", "{{ text }}; $(touch injected)"];
        let arguments = arguments.map(|text| Template::new(text, &samples).unwrap());
        let alert = Arc::new(test_alert("gate", 0));
        let message = Message { id: alert.raised.id.clone(), alerts: vec![alert] };
        let content = message.content("gate", false);
        let (title, text) = (String::new(), String::new());
        let outgoing =
            Outgoing { channel: "gate", message: &message, content: &content, title, text, picture: None };
        Command::new(&settings, arguments.into(), timeout).send(&outgoing)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_gets_the_event_and_its_arguments() {
        let folder = tempfile::tempdir().unwrap();
        send("cat > $OUT/event; echo \"$1\" > $OUT/text; env > $OUT/env", folder.path(), LONG).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("event").as_bytes(), test_alert("gate", 0).json);
        assert!(read("text").contains("\"gate\". Nothing happened.; $(touch injected)"));
        assert!(!read("env").contains("CARGO"), "it gets no other variables");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let failed = send("echo no modem >&2; exit 3", folder.path(), LONG).unwrap_err().to_string();
        assert!(failed.contains("exit status: 3") && failed.contains("no modem"), "{failed}");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let failed = send("sleep 600 & echo $! > $OUT/pid; wait", folder.path(), Duration::from_secs(1));
        assert!(failed.unwrap_err().to_string().contains("was killed"));
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let deadline = Instant::now() + LONG;
        while !is_gone() && Instant::now() < deadline {
            std::thread::sleep(CHECK);
        }
        assert!(is_gone());
    }
}
