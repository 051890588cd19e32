//! Erases a person or a stranger everywhere: templates, samples, records of strangers, rule state, and the key that could decrypt copies of them.
//!
//! An erasure can be interrupted at any moment, and done again: a notice in the keys topic says that it was begun, and which
//! strangers were the person.

mod receipt;
mod rule_state;
mod traces;

pub use receipt::{Receipt, ReceiptCheck, SignatureState, check_receipt};
pub(crate) use rule_state::state_keys;
pub(crate) use traces::Traces;

use everyframe_config::Config;
use everyframe_gallery::{
    ErasureNotice, GalleryError, announce_erasure, destroy_keys, erase_traces, find_traces,
};
use everyframe_kafka::{BrokerError, Producer, class_retention};
use everyframe_privacy::{Action, DataKey, KeyRing, NewTrailEntry, PrivacyError, Signer, Trail, TrailError};
use everyframe_types::machine::unix_ms;
use everyframe_types::parallel::in_parallel;
use rule_state::erase_rule_state;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long running hosts may take to stop writing about the person. It takes them less than a second, unless a machine is very busy.
const SETTLING: Duration = Duration::from_secs(60);
/// For so long after a notice, hosts may still write what they found before they took note of it: a batch that they had begun.
const QUIET: Duration = Duration::from_secs(1);
/// Between two searches for what was written meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Why a person is not erased, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The gallery, its keys or the strangers.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The keys.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The rule state.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The trail: nothing was erased.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// Hosts go on writing about the person.
    #[error(
        "{records} records about the person were written while it was erased, after {} s still: does a host not read the keys \
         topic, or run an older version? Stop it, and erase the person again",
        SETTLING.as_secs()
    )]
    NotSettled {
        /// Records that are there again.
        records: usize,
    },
}

/// Erases a person, or a stranger by its id, on all hosts, and returns the receipt; none if nothing is known of the id. Hosts do not
/// recognise the person any more when this returns: who is still before a camera is a new stranger.
///
/// # Errors
///
/// Nothing or not all was erased: erase the person again. What was begun is continued.
pub fn erase_person(
    config: &Config,
    person: &str,
    actor: &str,
    action: Action,
) -> Result<Option<Receipt>, ErasureError> {
    let ring = Arc::new(KeyRing::load(&config.privacy)?);
    let signer = Signer::load(&config.privacy)?;
    let found = find_traces(config, &ring, person, &[])?;
    if found.is_empty() {
        return Ok(None);
    }
    let producer = Producer::new(&config.kafka)?;
    let subject = found.person.clone();
    let entry = NewTrailEntry {
        actor: actor.to_owned(),
        action,
        subject: subject.clone(),
        detail: format!("samples: {}", found.samples.len()),
    };
    let trail = Trail::open(config)?.append(&entry)?;
    let begun = found.unfinished.clone();
    let mut notice = ErasureNotice {
        // Random, as a data key's id is.
        id: begun
            .map_or_else(|| DataKey::generate().map(|key| key.id().to_string()), |begun| Ok(begun.id))?,
        person: subject.clone(),
        strangers: found.strangers.iter().cloned().collect(),
        at: unix_ms(),
        round: found.unfinished.as_ref().map_or(0, |begun| begun.round + 1),
        is_done: false,
    };
    announce_erasure(config, &ring, &producer, &notice)?;
    let mut receipt = Receipt {
        id: notice.id.clone(),
        person: subject,
        action,
        erased_at: notice.at,
        samples: found.samples.len(),
        stranger_records: found.stranger_records.len(),
        strangers: notice.strangers.clone(),
        rule_state: 0,
        data_keys: found.data_keys.iter().map(ToString::to_string).collect(),
        results_until: None,
        trail,
        signed: None,
    };
    let announced = Instant::now();
    erase_traces(config, &producer, &found)?;
    let traces = Traces::new(&notice);
    let (destroyed, rule_state) = in_parallel(
        || destroy_keys(config, &ring, &found.data_keys, notice.at),
        || erase_rule_state(config, &ring, &producer, &traces),
    );
    destroyed?;
    receipt.rule_state = rule_state?;
    settle(config, &ring, &producer, &mut notice, announced)?;
    receipt.strangers.clone_from(&notice.strangers);
    let results = class_retention(config)?.into_iter().find(|class| class.key == "results_h");
    let kept_ms = results.and_then(|results| results.kept_ms);
    receipt.results_until = kept_ms.map(|kept| notice.at.saturating_add_unsigned(kept));
    notice.is_done = true;
    notice.round += 1;
    announce_erasure(config, &ring, &producer, &notice)?;
    receipt.sign(signer.as_ref());
    Ok(Some(receipt))
}

/// Erases what hosts wrote about the person before they took note of the erasure, and tells them again, until nothing comes.
fn settle(
    config: &Config,
    ring: &Arc<KeyRing>,
    producer: &Producer,
    notice: &mut ErasureNotice,
    mut announced: Instant,
) -> Result<(), ErasureError> {
    let since = Instant::now();
    loop {
        let is_quiet = announced.elapsed() >= QUIET;
        let traces = Traces::new(notice);
        let (left, state) = in_parallel(
            || find_traces(config, ring, &notice.person, &notice.strangers),
            || erase_rule_state(config, ring, producer, &traces),
        );
        let (left, state) = (left?, state?);
        erase_traces(config, producer, &left)?;
        // Another camera may have given the person an id that was merged with a known one only now. Its record is one of those
        // that are counted, so its rule state is searched in the next round.
        notice.strangers = left.strangers.iter().cloned().collect();
        let records = left.samples.len() + left.stranger_records.len() + state;
        if records == 0 && is_quiet {
            return Ok(());
        }
        if records > 0 {
            if since.elapsed() > SETTLING {
                return Err(ErasureError::NotSettled { records });
            }
            notice.round += 1;
            announce_erasure(config, ring, producer, notice)?;
            announced = Instant::now();
        }
        std::thread::sleep(PAUSE);
    }
}
