//! What is kept of a frame where its payload is not to be recorded.

use gillnet_bucket::layout::Payload;
use gillnet_capture::NO_POS;
use gillnet_streams::decode::{DecodeLimits, Decoder};

use crate::record::Frame;

/// Cuts the frames of one object.
pub(crate) struct Cut {
    /// How many bytes of each payload are kept; `None` where frames stay whole.
    most: Option<usize>,
    decoder: Decoder,
}

impl Cut {
    /// `None` where no frames are kept at all.
    pub(crate) fn of(payload: Payload) -> Option<Self> {
        let most = match payload {
            Payload::Full => None,
            Payload::First(bytes) => Some(bytes as usize),
            Payload::None => return None,
        };
        // nothing is put together from fragments here
        let limits = DecodeLimits {
            fragments: 0,
            fragment_bytes: 0,
            ..DecodeLimits::default()
        };
        Some(Self {
            most,
            decoder: Decoder::new(limits),
        })
    }

    /// What is kept of a frame: its headers down to the innermost TCP or UDP, and the first bytes behind them. Nothing of
    /// one in which these can't be told from payload, such as a fragment.
    pub(crate) fn kept<'a>(&mut self, frame: &Frame<'a>) -> &'a [u8] {
        let Some(most) = self.most else {
            return frame.data;
        };
        let seen = frame.captured(NO_POS);
        let packet = self.decoder.decode(&seen).ok();
        let end = packet.and_then(|packet| {
            let payload = packet.payload.len().min(most);
            Some(packet.payload_off? as usize + payload)
        });
        frame.data.get(..end.unwrap_or(0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_capture::{LinkType, PacketDirection};

    const SECRET: &[u8] = b"a secret of 22 letters";

    /// A datagram of UDP on IPv4, `fragment` being its field of flags and offset.
    fn datagram(payload: &[u8], fragment: u16) -> Vec<u8> {
        let mut data = vec![0x45, 0, 0, 28 + payload.len() as u8, 0, 7];
        data.extend(fragment.to_be_bytes());
        data.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        data.extend([0x30, 0x39, 0, 53, 0, 8 + payload.len() as u8, 0, 0]);
        data.extend(payload);
        data
    }

    fn kept(payload: Payload, link: LinkType, data: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame {
            ts: 0,
            iface: 0,
            link,
            direction: PacketDirection::Unknown,
            wire_len: data.len() as u32,
            data,
        };
        Some(Cut::of(payload)?.kept(&frame).to_vec())
    }

    #[test]
    fn headers_stay_and_so_many_bytes_behind_them() {
        let packet = datagram(SECRET, 0);
        let of = |payload| kept(payload, LinkType::Raw, &packet);
        assert_eq!(of(Payload::Full).as_deref(), Some(&*packet));
        assert_eq!(of(Payload::First(0)).as_deref(), Some(&packet[..28]));
        assert_eq!(of(Payload::First(8)).as_deref(), Some(&packet[..36]));
        assert_eq!(of(Payload::First(9000)).as_deref(), Some(&*packet));
        assert_eq!(of(Payload::None), None);
        // what pads a frame is no payload, and may be anything
        let mut frame = [&[2; 12][..], &[8, 0], &datagram(b"", 0)].concat();
        frame.extend(SECRET);
        let headers = kept(Payload::First(64), LinkType::Ethernet, &frame);
        assert_eq!(headers.as_deref(), Some(&frame[..42]));
    }

    #[test]
    fn nothing_stays_where_payload_can_not_be_told_from_headers() {
        let tail = datagram(SECRET, 185);
        let first = datagram(SECRET, 0x2000);
        for (link, data) in [
            (LinkType::Raw, &tail[..]),
            (LinkType::Raw, &first),
            (LinkType::Ethernet, SECRET),
            (LinkType::Other(147), SECRET),
        ] {
            assert_eq!(kept(Payload::First(0), link, data), Some(Vec::new()));
        }
    }
}
