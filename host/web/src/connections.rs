//! Accepts connections, and only so many: a client that opens thousands, or never ends a request, gets no more than its share.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// The most connections at the same time. Others wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// A connection on which no whole head of a request comes within this time is closed.
const HEAD: Duration = Duration::from_secs(15);
/// After an error of the system, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Answers the connections of a listener, for ever.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = free.clone().acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the dashboard was not accepted");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            match tls {
                None => answer(stream, router).await,
                Some(tls) => match tokio::time::timeout(HEAD, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answer(stream, router).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a client of the dashboard speaks no TLS"),
                    Err(_) => tracing::debug!("a client of the dashboard is too slow"),
                },
            }
            drop(place);
        });
    }
}

/// Answers the requests of a connection.
async fn answer(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, router: Router) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // The client went, was too slow, or sent no HTTP.
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the dashboard broke");
    }
}
