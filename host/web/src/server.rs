//! Starts the server.

use crate::api;
use crate::app::App;
use crate::connections::serve;
use crate::dashboard;
use crate::live::{Live, follow};
use crate::recogniser::Recogniser;
use crate::rule_source::RuleSource;
use crate::tls::{TlsError, acceptor};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use everyframe_config::Config;
use everyframe_notify::{CallbackReceiver, Callbacks, Meters, NotifyError};
use everyframe_rules::RuleMeters;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;

/// Where `everyframe serve` listens if the configuration does not say.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// How often the server checks whether the process ends.
const CHECK: Duration = Duration::from_millis(100);
/// Threads that answer requests. What waits for Kafka, pictures or models has other threads.
const THREADS: usize = 1;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address is in use, or not of this machine.
    #[error("the dashboard cannot listen at {address}: {reason}; change `[web] listen`")]
    Listen {
        /// The address.
        address: String,
        /// The system's error.
        reason: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Results cannot be sent to those who ask for it.
    #[error("callbacks cannot be sent: {0}")]
    Callbacks(#[from] NotifyError),
    /// The system has no threads left.
    #[error("cannot start the threads of the dashboard: {0}")]
    Thread(#[from] std::io::Error),
}

/// What a server needs besides the configuration.
pub struct WebOptions<'a> {
    /// The configuration file, for the rules; none if there is none.
    pub file: Option<&'a Path>,
    /// The folder of models and compiled rules.
    pub cache: &'a Path,
    /// Where rules run.
    pub runtime: Handle,
    /// Time, memory and log of the rules that judge frames in this process; none if it processes no frames.
    pub rule_meters: Option<RuleMeters>,
    /// The programs that may be called back.
    pub callbacks: Vec<Arc<CallbackReceiver>>,
    /// Where deliveries to them are counted.
    pub meters: &'a Meters,
}

/// A running server. It ends when the flag given to [`WebServer::start`] is set.
pub struct WebServer {
    /// Where it listens.
    pub address: SocketAddr,
    thread: JoinHandle<()>,
    /// Appends the last views of pictures to the trail.
    trail: JoinHandle<()>,
    callbacks: Arc<Callbacks>,
}

impl WebServer {
    /// Listens at `address`, and follows the topics until `stop` is set.
    ///
    /// # Errors
    ///
    /// The address cannot be used, or the system has no threads left.
    pub fn start(
        config: &Config,
        address: &str,
        options: WebOptions<'_>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, WebError> {
        let failed = |reason| WebError::Listen { address: address.to_owned(), reason };
        let tls = config.web.tls.as_ref().map(acceptor).transpose()?;
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("web")
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let live = Arc::new(Live::new());
        follow(config, &live, stop)?;
        let WebOptions { file, cache, runtime: rules_runtime, rule_meters, callbacks, meters } = options;
        let callbacks = Arc::new(Callbacks::start(config, callbacks, meters, stop)?);
        let recogniser = Recogniser::new(config, file, cache, rules_runtime.clone());
        let rule_source = RuleSource::new(file, cache, rules_runtime);
        let app = Arc::new(App::new(config, live, recogniser, rule_source, rule_meters, callbacks.clone()));
        let trail = app.trail.start(stop)?;
        let router = router(&app);
        let stop = stop.clone();
        let work = move || {
            runtime.block_on(async {
                let ended = async {
                    while !stop.load(Ordering::Relaxed) {
                        tokio::time::sleep(CHECK).await;
                    }
                };
                tokio::select! {
                    () = serve(listener, tls, router) => {}
                    () = ended => {}
                }
            });
            // An audit or a model may still be at work; the process does not wait for them.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("web-server".into()).spawn(work)?;
        Ok(Self { address, thread, trail, callbacks })
    }

    /// Waits until the server has ended.
    pub fn join(self) {
        let _ = self.thread.join();
        let _ = self.trail.join();
        self.callbacks.join();
    }
}

fn router(app: &Arc<App>) -> Router {
    let (api, description) = api::routes(app);
    let description = Json(description);
    api.route("/api/openapi.json", get(async move || description.clone()))
        .route("/api/{*path}", any(api::no_such_path))
        .fallback(get(dashboard::file))
        .layer(middleware::from_fn(dashboard::add_security_headers))
}
