//! Makes pictures of packets. JPEG passes unchanged; other codecs are decoded, and encoded as JPEG.

use super::decoder::{Decoded, Decoder};
use super::encoded::{EncodedFault, check_encoded, scale_encoded};
use super::fault::Fault;
use super::ffmpeg::Packet;
use super::options::SourceOptions;
use super::picture_encoder::PictureEncoder;
use super::view::View;
use everyframe_config::DamagedPolicy;

/// Whether a picture is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is to be sent. `wants_view` asks for what it shows, too.
    Take { wants_view: bool },
    /// It is left out.
    Leave,
}

/// A picture that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shot {
    /// A picture.
    Picture { bytes: Vec<u8>, is_damaged: bool, view: Option<View> },
    /// A damaged picture, which is not sent.
    Damaged,
    /// A picture that FFmpeg has dropped, because a part of it was lost on the network.
    Lost,
    /// Not a picture.
    Skipped,
}

/// Makes the pictures of one connection.
pub(super) struct PacketDecoder {
    /// None for a video of JPEG pictures.
    decoder: Option<Decoder>,
    /// True for packets of a file, false for those of a network or a device.
    is_file: bool,
    encoder: PictureEncoder,
    damaged: DamagedPolicy,
    damage: Damage,
    max_side: Option<u32>,
    quality: i32,
}

impl PacketDecoder {
    /// For the packets that `decoder` can decode; without one, for JPEG pictures.
    pub fn new(decoder: Option<Decoder>, is_file: bool, options: &SourceOptions) -> Self {
        Self {
            decoder,
            is_file,
            encoder: PictureEncoder::new(options.quality, options.max_side),
            damaged: options.damaged,
            damage: Damage::default(),
            max_side: options.max_side,
            quality: options.quality,
        }
    }

    /// Takes the note why pictures are decoded in software although a device was wanted.
    pub fn take_note(&mut self) -> Option<String> {
        self.decoder.as_mut()?.take_note()
    }

    /// Takes a packet, or none at the end. `choose` is asked for each picture, with its time in microseconds; then `take` gets
    /// those that were chosen.
    ///
    /// # Errors
    ///
    /// The pixels of this video cannot be converted: end.
    pub fn decode(
        &mut self,
        packet: Option<&Packet>,
        mut choose: impl FnMut(Option<i64>) -> Choice,
        mut take: impl FnMut(Shot),
    ) -> Result<(), Fault> {
        let Some(decoder) = &mut self.decoder else {
            if let Some(packet) = packet {
                // No JPEG refers to another, so the one after a loss is whole.
                if packet.is_after_loss {
                    take(Shot::Lost);
                }
                if let Some(shot) = self.pass(packet.bytes(), !packet.is_corrupt, || choose(packet.time)) {
                    take(shot);
                }
            }
            return Ok(());
        };
        if let Some(packet) = packet.filter(|packet| packet.is_corrupt || packet.is_after_loss) {
            self.damage.begin(packet.time);
        }
        let time = packet.and_then(|packet| packet.time);
        if !decoder.send(packet) || decoder.take_errors() {
            self.damage.begin(time);
        } else if let Some(packet) = packet.filter(|packet| self.is_file && packet.is_key) {
            self.damage.whole_key = packet.time.filter(|_| !(packet.is_corrupt || packet.is_after_loss));
        }
        loop {
            // What it logs is about this packet.
            if decoder.take_errors() {
                self.damage.begin(time);
            }
            let mut picture = match decoder.receive() {
                Decoded::Picture(picture) => picture,
                Decoded::NeedsPacket | Decoded::End => return Ok(()),
                Decoded::Damaged => {
                    self.damage.begin(time);
                    return Ok(());
                }
            };
            let is_damaged = self.damage.check(picture.time, picture.is_key, picture.is_damaged);
            let Choice::Take { wants_view } = choose(picture.time) else { continue };
            if is_damaged && self.damaged == DamagedPolicy::Withhold {
                take(Shot::Damaged);
                continue;
            }
            let (bytes, view) = self.encoder.encode(&mut picture, wants_view)?;
            take(Shot::Picture { bytes, is_damaged, view });
        }
    }

    /// Passes a picture that is encoded already. None if it is left out.
    pub fn pass(&self, bytes: &[u8], is_complete: bool, mut choose: impl FnMut() -> Choice) -> Option<Shot> {
        let checked = check_encoded(bytes);
        if checked == Err(EncodedFault::NotAPicture) {
            return Some(Shot::Skipped);
        }
        let Choice::Take { wants_view } = choose() else { return None };
        let is_damaged = !is_complete || checked.is_err();
        if is_damaged && self.damaged == DamagedPolicy::Withhold {
            return Some(Shot::Damaged);
        }
        let view = wants_view.then(|| View::of_encoded(bytes)).flatten();
        let scaled = self.max_side.and_then(|max_side| scale_encoded(bytes, max_side, self.quality));
        Some(Shot::Picture { bytes: scaled.unwrap_or_else(|| bytes.to_vec()), is_damaged, view })
    }
}

/// Whether the pictures of a decoder can be trusted. A damaged picture damages those that refer to it, of which the decoder
/// knows nothing: all are damaged until a whole one that refers to none.
#[derive(Debug, Default)]
struct Damage {
    is_damaged: bool,
    /// A picture of this time, or before, cannot end it; microseconds.
    since: Option<i64>,
    /// The time of the last key packet of a file that was decoded without an error. Its picture ends the damage even if its time is
    /// earlier: times go back in a file that was joined of parts. None for a network, which reports a loss with the packet before it.
    whole_key: Option<i64>,
}

impl Damage {
    /// Data were lost or wrong in a packet of this time.
    fn begin(&mut self, time: Option<i64>) {
        self.is_damaged = true;
        self.since = time.or(self.since);
    }

    /// True if a picture is damaged.
    fn check(&mut self, time: Option<i64>, is_key: bool, has_errors: bool) -> bool {
        if has_errors {
            self.begin(time);
        } else if is_key {
            let is_later = time.zip(self.since).is_none_or(|(time, since)| time > since);
            if is_later || time == self.whole_key {
                *self = Self::default();
            }
        }
        self.is_damaged
    }
}

#[cfg(test)]
mod tests {
    use super::Damage;

    #[test]
    fn damage_lasts_until_the_next_whole_key_picture() {
        let mut damage = Damage::default();
        assert!(!damage.check(Some(0), true, false));
        assert!(damage.check(Some(40), false, true));
        assert!(damage.check(Some(80), false, false), "it refers to the damaged one");
        assert!(damage.check(Some(120), true, true), "a damaged key picture");
        assert!(damage.check(Some(160), false, false));
        assert!(!damage.check(Some(200), true, false));
        assert!(!damage.check(Some(240), false, false));
    }

    #[test]
    fn a_key_picture_before_a_loss_does_not_end_its_damage() {
        let mut damage = Damage::default();
        // FFmpeg reports a loss with the packet before it.
        damage.begin(Some(40));
        assert!(damage.check(Some(40), true, false));
        assert!(damage.check(Some(80), false, false));
        assert!(!damage.check(Some(120), true, false));
    }

    #[test]
    fn a_whole_key_packet_of_a_file_ends_damage_also_when_times_go_back() {
        let mut damage = Damage::default();
        damage.begin(Some(900));
        assert!(damage.check(Some(0), true, false), "a picture from before the damage");
        damage.whole_key = Some(40);
        assert!(damage.check(Some(0), true, false), "its picture has not come yet");
        assert!(!damage.check(Some(40), true, false));
        assert!(!damage.check(Some(80), false, false));
        damage.begin(Some(120));
        assert!(damage.check(Some(40), true, false), "it ends one damage only");
    }

    #[test]
    fn without_times_a_key_picture_ends_damage() {
        let mut damage = Damage::default();
        damage.begin(None);
        assert!(damage.check(None, false, false));
        assert!(!damage.check(None, true, false));
    }
}
