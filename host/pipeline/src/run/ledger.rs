//! What the ledger of a lane says of a frame as it is taken in, and who is told.

use crate::live_ledger::{LiveLedger, Noted};
use crate::observe::Metrics;
use everyframe_types::frame::Frame;
use everyframe_types::sequence_gap::SequenceGap;

/// Notes a frame, in the order of the offsets; the frame carries on what is missing before it.
pub(super) fn note(ledger: &mut LiveLedger, metrics: &Metrics, frame: &mut Frame) {
    // A frame that is put through again had its place in the session when it first came.
    if frame.is_replayed() {
        return;
    }
    let (camera, session) = (&frame.camera, &frame.session);
    if let Some(SequenceGap::Refused(numbers)) = &frame.sequence_gap {
        let news = ledger.refused(camera, session, numbers.clone());
        metrics.absent(frame, news);
    } else if frame.is_numbered {
        let noted = ledger.frame(camera, session, frame.sequence);
        metrics.noted(camera, &noted);
        if let Noted::After(missing) = noted {
            let sequence_gap = SequenceGap::Missing(missing);
            let count = sequence_gap.count();
            frame.sequence_gap = Some(sequence_gap);
            metrics.absent(frame, count);
        }
    }
}
