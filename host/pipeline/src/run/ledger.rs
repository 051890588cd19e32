//! Checks a frame's sequence number as the frame is taken in.

use crate::live_ledger::{LiveLedger, SequenceCheck};
use crate::observe::Metrics;
use everyframe_types::frame::Frame;
use everyframe_types::sequence_gap::SequenceGap;

/// Enters a frame into the ledger, in the order of the offsets. If numbers are missing before it, the frame gets the gap.
pub(super) fn check_sequence(ledger: &mut LiveLedger, metrics: &Metrics, frame: &mut Frame) {
    // A replayed frame was entered when it first came.
    if frame.is_replayed() {
        return;
    }
    let (camera, session) = (&frame.camera, &frame.session);
    if let Some(SequenceGap::Refused(numbers)) = &frame.sequence_gap {
        let count = ledger.record_refusal(camera, session, numbers.clone());
        metrics.sequence_gap(frame, count);
    } else if frame.is_numbered {
        let check = ledger.record_frame(camera, session, frame.sequence);
        metrics.sequence_checked(camera, &check);
        if let SequenceCheck::Gap(missing) = check {
            let sequence_gap = SequenceGap::Missing(missing);
            let count = sequence_gap.count();
            frame.sequence_gap = Some(sequence_gap);
            metrics.sequence_gap(frame, count);
        }
    }
}
