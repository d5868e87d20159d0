//! The names of the objects of a recording.
//!
//! ```text
//! gillnet.json
//! packets/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.pcapng.gz   (or .pcapng, or .pcap)
//! streams/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.parquet
//! entries/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.parquet
//! names/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ/name_resolution_history.json
//! ```
//!
//! `RUN` has 16 hexadecimal digits, `SEQ` at least 10 decimal ones, so that names sort as they were
//! made. In cluster, rule and node everything but letters, digits, dash, underscore and dot is
//! written as %XX.

use std::fmt::{self, Write as _};

use gillnet_entry::time;

/// Key of the object that says which version of the layout a bucket has.
pub const FORMAT_KEY: &str = "gillnet.json";

/// What [`FORMAT_KEY`] holds.
pub const FORMAT: &str = "{\"format\":\"gillnet\",\"version\":1}\n";

/// Name of the file with what addresses meant, in Kubeshark's format.
pub const NAME_HISTORY: &str = "name_resolution_history.json";

const HOUR_NS: i64 = 3_600_000_000_000;

/// What packet objects are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PacketFormat {
    /// pcapng in gzip members: a seventh of the size.
    #[default]
    PcapngGz,
    /// pcapng as it is.
    Pcapng,
    /// Classic pcap, all on Ethernet, for programs that read nothing else. What pcapng has in comments is in `streams/`
    /// alone, so it needs an index.
    Pcap,
}

impl PacketFormat {
    /// All of them.
    pub const ALL: [PacketFormat; 3] = [Self::PcapngGz, Self::Pcapng, Self::Pcap];

    /// What it is called, in configurations and at the end of keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcapngGz => "pcapng.gz",
            Self::Pcapng => "pcapng",
            Self::Pcap => "pcap",
        }
    }

    /// That of a packet object, by its key or what is behind it.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.stem(key).is_some())
    }

    /// A key without its end.
    fn stem(self, key: &str) -> Option<&str> {
        key.strip_suffix(self.name())?.strip_suffix('.')
    }
}
const INDEX_END: &str = ".parquet";

/// An hour of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour that a moment (nanoseconds since the Unix epoch) lies in.
    #[must_use]
    pub fn of(ns: i64) -> Self {
        Self(ns.div_euclid(HOUR_NS))
    }

    /// Its first moment, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn start(self) -> i64 {
        self.0.saturating_mul(HOUR_NS)
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(self) -> i64 {
        Self(self.0.saturating_add(1)).start()
    }

    /// `YYYY-MM-DD` and `HH`, as [`fmt::Display`] writes them.
    fn parse(date: &str, hour: &str) -> Option<Self> {
        let mut parts = date.split('-');
        let year = digits(parts.next()?, 4)?;
        let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let hour = digits(hour, 2)?;
        if parts.next().is_some() || hour > 23 {
            return None;
        }
        let found = Self(days(year, month, day)? * 24 + hour);
        Some(found)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, hour) = time::partition(self.start());
        write!(f, "date={date}/hour={hour}")
    }
}

/// A number of exactly `count` decimal digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from the Unix epoch to a date of the Gregorian calendar; `None` where there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let index = usize::try_from(month - 1).ok()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (first, next) = (BEFORE.get(index)?, BEFORE.get(index + 1)?);
    if day < 1 || day > next - first + i64::from(leap && month == 2) {
        return None;
    }
    let years = year - 1;
    let leaps = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
    let to_year = years * 365 + leaps - 719_162;
    Some(to_year + first + i64::from(leap && month > 2) + day - 1)
}

/// A moment as [`time::Rfc3339`] shows it, in nanoseconds since the Unix epoch.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (clock, fraction) = rest.strip_suffix('Z')?.split_once('.')?;
    let mut parts = clock.split(':');
    let (hour, minute, second) = (
        parts.next()?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    );
    let nanos = digits(fraction, 9)?;
    let hour = Hour::parse(date, hour)?;
    if parts.next().is_some() || minute > 59 || second > 59 {
        return None;
    }
    let seconds = hour.0.checked_mul(3600)? + minute * 60 + second;
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanos)).ok()
}

/// What the files of one sealed object have in common: who recorded it, for which rule, when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Name of the cluster (or its id).
    pub cluster: String,
    /// Name of the recording rule.
    pub recording: String,
    /// The hour that it holds.
    pub hour: Hour,
    /// Name of the node.
    pub node: String,
    /// Random number of the process that recorded it.
    pub run: u64,
    /// Number of the object in its run; never used twice in it.
    pub seq: u64,
}

/// Which file of an object a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Its packets.
    Packets,
    /// What streams are in them, and where.
    Streams,
    /// The entries of those that ended in it, of one hour.
    Entries,
    /// What addresses meant.
    Names,
}

impl ObjectName {
    /// Key of the object with the packets, in the usual format.
    #[must_use]
    pub fn packets_key(&self) -> String {
        self.packets_key_as(PacketFormat::default())
    }

    /// Key of the object with the packets.
    #[must_use]
    pub fn packets_key_as(&self, format: PacketFormat) -> String {
        format!("packets/{self}.{}", format.name())
    }

    /// Key of the index of its streams.
    #[must_use]
    pub fn streams_key(&self) -> String {
        format!("streams/{self}{INDEX_END}")
    }

    /// Key of the index of its entries that lie in its hour.
    #[must_use]
    pub fn entries_key(&self) -> String {
        format!("entries/{self}{INDEX_END}")
    }

    /// Key of the object with the names.
    #[must_use]
    pub fn names_key(&self) -> String {
        format!("names/{self}/{NAME_HISTORY}")
    }

    /// The object that a key names, wherever in the key its part of the layout begins; `None`
    /// where the key follows no such layout.
    #[must_use]
    pub fn parse(key: &str) -> Option<(Part, Self)> {
        let mut parts: Vec<&str> = key.split('/').collect();
        let mut last = parts.pop()?;
        let part = if last == NAME_HISTORY {
            last = parts.pop()?;
            Part::Names
        } else if let Some(name) = PacketFormat::ALL.iter().find_map(|of| of.stem(last)) {
            last = name;
            Part::Packets
        } else {
            last = last.strip_suffix(INDEX_END)?;
            match parts.iter().rev().nth(4).copied()? {
                "streams" => Part::Streams,
                "entries" => Part::Entries,
                _ => return None,
            }
        };
        let folder = match part {
            Part::Packets => "packets",
            Part::Streams => "streams",
            Part::Entries => "entries",
            Part::Names => "names",
        };
        let [.., first, cluster, recording, date, hour] = parts.as_slice() else {
            return None;
        };
        if *first != folder {
            return None;
        }
        let mut name = last.rsplitn(3, '_');
        let (seq, run, node) = (name.next()?, name.next()?, name.next()?);
        let found = Self {
            cluster: unescape(cluster.strip_prefix("cluster=")?)?,
            recording: unescape(recording.strip_prefix("recording=")?)?,
            hour: Hour::parse(date.strip_prefix("date=")?, hour.strip_prefix("hour=")?)?,
            node: unescape(node)?,
            run: parse_run(run)?,
            seq: parse_seq(seq)?,
        };
        Some((part, found))
    }
}

/// The part of the keys that all files of the object share: `cluster=…/…/NODE_RUN_SEQ`.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            recording,
            hour,
            node,
            run,
            seq,
        } = self;
        let (cluster, recording) = (escape(cluster), escape(recording));
        let recorder = recorder(node, *run);
        write!(
            f,
            "cluster={cluster}/recording={recording}/{hour}/{recorder}_{seq:010}"
        )
    }
}

/// What the names of all objects of a process begin with: `NODE_RUN`.
#[must_use]
pub fn recorder(node: &str, run: u64) -> String {
    format!("{}_{run:016x}", escape(node))
}

fn parse_run(text: &str) -> Option<u64> {
    let plain = text.len() == 16
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    plain.then(|| u64::from_str_radix(text, 16).ok())?
}

fn parse_seq(text: &str) -> Option<u64> {
    let plain = text.len() >= 10 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// A name as one part of a key.
fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            // a dot in front would hide a file and could be "." or ".."
            b'.' if at == 0 => out.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                out.push(char::from(byte))
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A part of a key as the name that it stands for; `None` where it is not hexadecimal after a `%`, or not UTF-8.
#[must_use]
pub fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high << 4 | low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A span of time that somebody asks for; open where a side is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment wanted, in nanoseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Last moment wanted, in nanoseconds since the Unix epoch.
    pub until: Option<i64>,
}

impl TimeRange {
    /// Whether `first..=last` has a moment of the range.
    #[must_use]
    pub fn overlaps(&self, first: i64, last: i64) -> bool {
        self.since.is_none_or(|since| last >= since)
            && self.until.is_none_or(|until| first <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cluster: &str, recording: &str, ns: i64, node: &str, run: u64, seq: u64) -> ObjectName {
        ObjectName {
            cluster: cluster.into(),
            recording: recording.into(),
            hour: Hour::of(ns),
            node: node.into(),
            run,
            seq,
        }
    }

    #[test]
    fn keys_are_those_of_the_design() {
        let object = name(
            "prod",
            "http or dns",
            1_700_000_000_000_000_000,
            "node-1",
            0xab,
            7,
        );
        assert_eq!(
            object.packets_key(),
            "packets/cluster=prod/recording=http%20or%20dns/date=2023-11-14/hour=22/node-1_00000000000000ab_0000000007.pcapng.gz"
        );
        assert_eq!(
            object.names_key(),
            "names/cluster=prod/recording=http%20or%20dns/date=2023-11-14/hour=22/node-1_00000000000000ab_0000000007/name_resolution_history.json"
        );
    }

    #[test]
    fn keys_round_trip() {
        let odd = [
            "", ".", "..", "a/b", "a_b_c", "ä%20", "x=y", "_", "\u{0}\n", "hour=07", "%", "🎣",
        ];
        let times = [
            0,
            -1,
            951_782_400_000_000_000,
            4_107_542_400_000_000_000,
            i64::MAX,
        ];
        for (at, cluster) in odd.iter().enumerate() {
            for (by, ns) in times.iter().enumerate() {
                let node = odd[(at + by) % odd.len()];
                let object = name(
                    cluster,
                    odd[(at + 2 * by) % odd.len()],
                    *ns,
                    node,
                    u64::MAX >> at,
                    u64::MAX >> (4 * by),
                );
                let (packets, names) = (object.packets_key(), object.names_key());
                assert_eq!(
                    ObjectName::parse(&packets),
                    Some((Part::Packets, object.clone())),
                    "{packets}"
                );
                assert_eq!(
                    ObjectName::parse(&names),
                    Some((Part::Names, object.clone())),
                    "{names}"
                );
                assert_eq!(
                    ObjectName::parse(&format!("some/where/{packets}")),
                    Some((Part::Packets, object))
                );
                assert!(
                    packets
                        .split('/')
                        .all(|part| !matches!(part, "" | "." | "..")),
                    "{packets}"
                );
            }
        }
    }

    #[test]
    fn every_format_of_packets_has_its_key() {
        let object = name("c", "r", 0, "n.pcap", 1, 2);
        for format in PacketFormat::ALL {
            let key = object.packets_key_as(format);
            assert_eq!(PacketFormat::of_key(&key), Some(format));
            let parsed = Some((Part::Packets, object.clone()));
            assert_eq!(ObjectName::parse(&key), parsed, "{key}");
        }
    }

    #[test]
    fn names_sort_as_they_were_made() {
        let keys: Vec<String> = [1, 2, 10, 99, 1_000_000]
            .map(|seq| name("c", "r", 0, "n", 1, seq).packets_key())
            .into();
        assert!(keys.is_sorted());
    }

    #[test]
    fn other_keys_are_no_objects() {
        let good = name("c", "r", 0, "n", 1, 2).packets_key();
        for bad in [
            "gillnet.json".to_owned(),
            good.replace("packets/", "other/"),
            good.replace("hour=00", "hour=24"),
            good.replace("1970-01-01", "1970-02-30"),
            good.replace("1970-01-01", "1970-1-1"),
            good.replace("0000000002", "2"),
            good.replace("0000000000000001", "1"),
            good.replace(".pcapng.gz", ".pcap.gz"),
            good.replace(".pcapng.gz", "pcap"),
            good.replace("cluster=c", "cluster=%zz"),
            good.replace("packets/cluster=c/", "packets/"),
        ] {
            assert_eq!(ObjectName::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_of_a_long_time_is_found_again() {
        for day in -100_000..100_000_i64 {
            let hour = Hour(day * 24 + day.rem_euclid(24));
            let (date, of_day) = time::partition(hour.start());
            assert_eq!(Hour::parse(&date, &of_day), Some(hour), "{date}");
        }
    }

    #[test]
    fn times_round_trip() {
        for ns in [
            0,
            -1,
            i64::MIN,
            i64::MAX,
            1_700_000_000_123_456_789,
            951_782_399_999_999_999,
        ] {
            assert_eq!(parse_time(&time::Rfc3339(ns).to_string()), Some(ns));
        }
        for bad in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:60:20.000000000Z",
            "2023-11-14T22:13:20.0000000001Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_are_open_where_nothing_is_said() {
        let range = TimeRange {
            since: Some(10),
            until: None,
        };
        assert!(range.overlaps(0, 10) && range.overlaps(50, 60) && !range.overlaps(0, 9));
        let range = TimeRange {
            since: None,
            until: Some(10),
        };
        assert!(range.overlaps(10, 11) && !range.overlaps(11, 12));
        assert!(TimeRange::default().overlaps(i64::MIN, i64::MAX));
    }
}
