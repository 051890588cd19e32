//! Receipts of erasures.

use super::ErasureError;
use super::rule_state::state_keys;
use super::traces::Traces;
use everyframe_config::Config;
use everyframe_gallery::{ErasureNotice, Remains, find_remains};
use everyframe_kafka::Reader;
use everyframe_privacy::{
    Action, DataKeyId, KeyRing, Signature, Signer, TrailCheck, TrailPoint, TrailReport, verify_signature,
};
use everyframe_types::record::IncomingRecord as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was erased of a person. It names the person, so it is personal data itself: give it to the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// The receipt's id.
    pub id: String,
    /// The id of the person.
    pub person: String,
    /// Whether somebody erased the person, or the enrolment had ended.
    pub action: Action,
    /// When, Unix milliseconds.
    pub erased_at: i64,
    /// Number of samples: templates with their pictures.
    pub samples: usize,
    /// Number of records of strangers.
    pub stranger_records: usize,
    /// The ids of the strangers who were the person.
    pub strangers: Vec<String>,
    /// Number of values of rules.
    pub rule_state: usize,
    /// The ids of the destroyed data keys; none if the templates were not encrypted.
    pub data_keys: Vec<String>,
    /// Until when results may name the person, Unix milliseconds; none: without end. Kafka deletes results by age only.
    pub results_until: Option<i64>,
    /// The erasure's place in the trail.
    pub trail: TrailPoint,
    /// Signs all other fields; none if no signing key was configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed: Option<Signature>,
}

/// Whether a receipt is the one that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureState {
    /// Signed by the expected key, and unchanged.
    Valid,
    /// Changed, or signed by another key.
    Invalid,
    /// Not signed.
    Unsigned,
    /// Signed, but no key is known that it could be checked with.
    Unchecked,
}

/// What a check of a receipt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptCheck {
    /// The signature.
    pub signature: SignatureState,
    /// What the topics hold of the person.
    pub remains: Remains,
    /// Values of rules that name the person.
    pub rule_state: usize,
    /// The trail, with the erasure's place in it.
    pub trail: TrailReport,
}

impl ReceiptCheck {
    /// True if the receipt is valid and nothing is left of the person that anybody could read.
    pub fn is_proof(&self) -> bool {
        let Remains { readable, data_keys, stranger_records, .. } = self.remains;
        self.signature == SignatureState::Valid
            && [readable, data_keys, stranger_records, self.rule_state] == [0; 4]
            && self.trail.faults.is_empty()
    }
}

impl Receipt {
    pub(super) fn sign(&mut self, signer: Option<&Signer>) {
        self.signed = None;
        self.signed = signer.map(|signer| signer.sign(&self.message()));
    }

    /// What is signed.
    fn message(&self) -> Vec<u8> {
        // Texts and numbers: serialising cannot fail.
        serde_json::to_vec(&Self { signed: None, ..self.clone() }).unwrap_or_default()
    }

    fn signature_state(&self, public_key: Option<&str>) -> SignatureState {
        match (&self.signed, public_key) {
            (None, _) => SignatureState::Unsigned,
            (Some(_), None) => SignatureState::Unchecked,
            (Some(signed), Some(key)) if verify_signature(signed, key, &self.message()) => {
                SignatureState::Valid
            }
            _ => SignatureState::Invalid,
        }
    }
}

/// Checks a receipt, and searches all topics for what it says is erased. `public_key` is the key that must have signed it, 64
/// hexadecimal digits; by default the configured one.
///
/// # Errors
///
/// The brokers do not answer, or a key is missing: nothing is known.
pub fn check_receipt(
    config: &Config,
    receipt: &Receipt,
    public_key: Option<String>,
) -> Result<ReceiptCheck, ErasureError> {
    let ring = Arc::new(KeyRing::load(&config.privacy)?);
    let public_key = match public_key {
        Some(key) => Some(key),
        None => Signer::load(&config.privacy)?.map(|signer| signer.public_key()),
    };
    let data_keys: BTreeSet<DataKeyId> =
        receipt.data_keys.iter().filter_map(|id| DataKeyId::parse(id)).collect();
    let strangers: BTreeSet<String> = receipt.strangers.iter().cloned().collect();
    let (person, erased_at) = (receipt.person.as_str(), receipt.erased_at);
    let remains = find_remains(config, &ring, person, &data_keys, &strangers, erased_at)?;
    let traces = Traces::new(&ErasureNotice {
        id: receipt.id.clone(),
        // Rules may know a person of the same id again.
        person: if remains.is_enrolled_again { String::new() } else { receipt.person.clone() },
        strangers: receipt.strangers.clone(),
        at: erased_at,
        round: 0,
        is_done: true,
    });
    Ok(ReceiptCheck {
        signature: receipt.signature_state(public_key.as_deref()),
        rule_state: state_keys(config, &ring, &traces)?.len(),
        trail: check_trail(config, public_key, std::slice::from_ref(&receipt.trail))?,
        remains,
    })
}

fn check_trail(
    config: &Config,
    public_key: Option<String>,
    points: &[TrailPoint],
) -> Result<TrailReport, ErasureError> {
    let mut check = TrailCheck::new(public_key);
    let mut reader = Reader::from_start(&config.kafka, &config.topics.trail)?;
    while let Some(record) = reader.next()? {
        check.add(record.offset(), record.value().unwrap_or_default());
    }
    Ok(check.finish(points, false))
}
