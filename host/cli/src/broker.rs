//! The embedded broker as a child process, for `demo` and `bench`.

use anyhow::{Context as _, Result, bail};
use everyframe_config::Config;
use everyframe_kafka::ensure;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running broker; ended when dropped, and by itself when this process dies.
pub struct EmbeddedBroker {
    child: Child,
    /// `127.0.0.1:port`
    pub address: String,
}

impl EmbeddedBroker {
    /// Starts the broker that lies beside this binary, with its data in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("everyframe-broker");
        if !program.is_file() {
            bail!("no {}; build it with `make build`", program.display());
        }
        // The system gives a free port; nothing else here is likely to take it in the next moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let log = std::fs::File::create(folder.join("broker.log"))?;
        let child = Command::new(&program)
            .args(["--listen", &address, "--until-stdin-closes", "--data"])
            .arg(folder.join("broker"))
            // Ctrl-C is for this process: the host still needs the broker to finish in good order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, address })
    }

    /// Waits until the broker answers, and creates the topics.
    pub fn create_topics(&self, config: &Config, runtime: &tokio::runtime::Runtime) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(&self.address).is_err() {
            if Instant::now() > deadline {
                bail!("the embedded broker did not start within 20 s");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(runtime.block_on(ensure(config))?)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the components of the three shipped rules are.
#[derive(clap::Args, Clone)]
pub struct ShippedRules {
    /// The folder with the three rules' components; where `make build` puts them, if not given.
    #[arg(long, value_name = "FOLDER", env = "EVERYFRAME_PLUGINS")]
    plugins: Option<PathBuf>,
}

impl ShippedRules {
    fn folder(&self) -> Result<PathBuf> {
        if let Some(folder) = &self.plugins {
            return Ok(folder.clone());
        }
        let program = std::env::current_exe()?;
        let target = program.parent().and_then(Path::parent).unwrap_or(Path::new(""));
        Ok(target.join("components/wasip2"))
    }
}

/// Writes a configuration with the three shipped rules; `more` is added to it.
pub fn write_config(folder: &Path, brokers: &str, rules: &ShippedRules, more: &str) -> Result<PathBuf> {
    let plugins = rules.folder()?;
    let component = |name: &str| {
        let path = plugins.join(name);
        path.canonicalize().with_context(|| format!("no rule {}; `make build` builds it", path.display()))
    };
    let text = include_str!("shipped-rules.toml")
        .replace("{brokers}", brokers)
        .replace("{matching-policy}", &component("matching_policy.wasm")?.to_string_lossy())
        .replace("{unknown-person}", &component("unknown_person.wasm")?.to_string_lossy())
        .replace("{alerting}", &component("alerting.wasm")?.to_string_lossy());
    let file = folder.join("everyframe.toml");
    std::fs::write(&file, text + more)?;
    Ok(file)
}
