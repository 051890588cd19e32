//! The embedded broker: a Kafka-protocol server on this machine, with its data in one folder.

use anyhow::{Context as _, Result};
use clap::Parser;
use nisshi_broker::broker::Broker;
use nisshi_broker::coordinator::group::administrator::{Controller, GroupCoordinatorConfig};
use nisshi_storage::ArcDynStorage;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A Kafka-protocol broker for laptops, demos and tests: one process, one folder, no transactions.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on; clients are told to come back to the same one.
    #[arg(long, default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// Folder for the data; made if it isn't there.
    #[arg(long)]
    data: PathBuf,
    /// End when standard input closes, so that a parent that dies takes its broker along.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.data)
        .with_context(|| format!("cannot make the data folder {}", arguments.data.display()))?;
    // The storage takes its path relative to the current directory, whatever the URL looks like.
    std::env::set_current_dir(&arguments.data)
        .with_context(|| format!("cannot enter the data folder {}", arguments.data.display()))?;
    if arguments.until_stdin_closes {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
    }
    let listener = Url::parse(&format!("tcp://{}", arguments.listen))?;
    let broker = Broker::<Controller<ArcDynStorage>, ArcDynStorage>::builder()
        .node_id(1)
        .cluster_id("everyframe")
        .incarnation_id(uuid::Uuid::now_v7())
        .advertised_listener(listener.clone())
        .listener(listener)
        .schema_registry(None)
        .lake_house(None)
        .storage(Url::parse("sqlite://broker.db?maintenance_interval=5s")?)
        .silent(true)
        // A short first delay: one host should start at once rather than wait for others to join.
        .group_coordinator(GroupCoordinatorConfig {
            initial_rebalance_delay: Duration::from_millis(200),
            ..Default::default()
        })
        .build()
        .await
        .with_context(|| format!("cannot open the data in {}", arguments.data.display()))?;
    broker
        .main(tokio::time::Instant::now())
        .await
        .with_context(|| format!("cannot serve on {}", arguments.listen))?;
    Ok(())
}
