//! `everyframe rule logs`

mod line;

use crate::{DONE, WrongInput};
use anyhow::Result;
use everyframe_config::camera_pattern;
use everyframe_types::id::printable_json;
use line::{Level, Line};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, IsTerminal as _, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A host's lines are far shorter; what is longer is no log, and comes in pieces.
const LINE_BYTES: u64 = 1 << 20;
/// How often a followed file is read.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
#[command(after_help = "\
A host writes the log lines of its rules to its standard error, with its own, as text or (--log-json) as JSON. This \
command reads both. Lines of level debug are there only with RUST_LOG=info,everyframe::rule=debug.

Examples:
  everyframe run 2> host.log
  everyframe rule logs host.log --rule only-at-night --level warn --follow
  journalctl -u everyframe -o cat | everyframe rule logs --camera 'gate-*'")]
pub struct Arguments {
    /// The host's log; without it, or as `-`: standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    log: PathBuf,
    /// Only of this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only about cameras that match: `*` for any characters, `?` for one.
    #[arg(long, value_name = "PATTERN")]
    camera: Option<String>,
    /// Only of this level or a graver one.
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Go on as the file grows, also when it is replaced by a new one.
    #[arg(long, short)]
    follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let camera = arguments.camera.as_deref().map(camera_pattern);
    let matches_camera = |line: &Line| {
        arguments.rule.as_ref().is_none_or(|rule| line.rule == *rule)
            && camera.as_ref().is_none_or(|pattern| pattern.matches(&line.camera))
            && arguments.level.is_none_or(|level| line.level <= level)
    };
    let mut out = std::io::stdout().lock();
    let (mut width, mut of_rules) = (0, 0u64);
    let mut print = |text: &[u8]| -> Result<(), std::io::Error> {
        let Some(line) = Line::read(&String::from_utf8_lossy(text)) else { return Ok(()) };
        of_rules += 1;
        if !matches_camera(&line) {
            return Ok(());
        }
        match arguments.json {
            true => writeln!(out, "{}", printable_json(&line.json().to_string())),
            false => {
                let (whose, rest) = line.render();
                width = width.max(whose.chars().count());
                writeln!(out, "{whose:<width$}  {rest}")
            }
        }?;
        out.flush()
    };
    let read = match arguments.log.to_str() {
        Some("-") if std::io::stdin().is_terminal() => {
            return Err(WrongInput("name the file with a host's log, or pipe one in".into()).into());
        }
        Some("-") => lines(std::io::stdin().lock(), &mut print).map(drop),
        _ => file(&arguments.log, arguments.follow, &mut print),
    };
    match read {
        // Nobody reads any more.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(DONE),
        read => read.map_err(|error| {
            WrongInput(format!("{}: cannot be read: {error}; give a host's log", arguments.log.display()))
        })?,
    }
    if of_rules == 0 {
        eprintln!(
            "everyframe: no line of a rule is there (of level debug they are only with RUST_LOG=info,everyframe::rule=debug)"
        );
    }
    Ok(DONE)
}

type Print<'a> = &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>;

/// Every line to the end; what is left is the beginning of one.
fn lines(mut reader: impl BufRead, print: Print<'_>) -> std::io::Result<()> {
    let mut rest = Vec::new();
    more_lines(&mut reader, &mut rest, print)?;
    print(&rest)
}

fn more_lines(reader: &mut impl BufRead, rest: &mut Vec<u8>, print: Print<'_>) -> std::io::Result<()> {
    loop {
        let room = LINE_BYTES.saturating_sub(rest.len() as u64);
        if reader.by_ref().take(room).read_until(b'\n', rest)? == 0 && rest.len() as u64 != LINE_BYTES {
            return Ok(());
        }
        if rest.ends_with(b"\n") || rest.len() as u64 == LINE_BYTES {
            print(rest)?;
            rest.clear();
        }
    }
}

fn file(path: &Path, follow: bool, print: Print<'_>) -> std::io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    if !follow {
        return lines(reader, print);
    }
    let mut rest = Vec::new();
    let mut read = 0;
    loop {
        let mut counted = Counted { reader: &mut reader, read: &mut read };
        more_lines(&mut counted, &mut rest, print)?;
        std::thread::sleep(POLL_INTERVAL);
        let now = reader.get_ref().metadata()?;
        let is_cut = now.len() < read;
        // Gone for a moment while it is replaced.
        let is_another =
            path.metadata().is_ok_and(|there| (there.dev(), there.ino()) != (now.dev(), now.ino()));
        if is_cut || (is_another && now.len() <= read) {
            let Ok(file) = File::open(path) else { continue };
            (reader, read) = (BufReader::new(file), 0);
            rest.clear();
        }
    }
}

/// Counts what is read of a file, to notice when it is cut.
struct Counted<'a> {
    reader: &'a mut BufReader<File>,
    read: &'a mut u64,
}

impl std::io::Read for Counted<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(bytes)?;
        *self.read += count as u64;
        Ok(count)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        *self.read += count as u64;
        self.reader.consume(count);
    }
}
