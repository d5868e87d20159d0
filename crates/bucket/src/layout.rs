//! The names of the objects of a recording.
//!
//! ```text
//! gillnet.json
//! packets/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.pcapng.gz   (or .pcapng, or .pcap; see [`Payload`])
//! streams/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.parquet
//! entries/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ.parquet
//! names/cluster=C/recording=R/date=YYYY-MM-DD/hour=HH/NODE_RUN_SEQ/name_resolution_history.json
//! ```
//!
//! Where an object replaces others, `SEQ` says which ([`Replaces`]). `RUN` has 16 hexadecimal digits, `SEQ` at least 10 decimal ones, so that names sort as they were
//! made. In cluster, rule and node everything but letters, digits, dash, underscore and dot is
//! written as %XX.

use std::fmt::{self, Write as _};

use gillnet_entry::time;

/// Key of the object that says which version of the layout a bucket has.
pub const FORMAT_KEY: &str = "gillnet.json";

/// The folder of snapshots.
pub const SNAPSHOTS: &str = "snapshots/";
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
        let (key, _) = Payload::split(key);
        Self::ALL
            .into_iter()
            .find(|format| format.stem(key).is_some())
    }

    /// A key without its end.
    fn stem(self, key: &str) -> Option<&str> {
        key.strip_suffix(self.name())?.strip_suffix('.')
    }
}

/// What a recording keeps of its packets. Where that is not all, the names of its packet objects have one more end, so
/// that nobody takes them for whole captures: `.headers`, `.first128`, `.none`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payload {
    /// Frames as they were captured.
    #[default]
    Full,
    /// Their headers down to TCP or UDP, and so many bytes of what these carry.
    First(u32),
    /// No packets.
    None,
}

/// What is no [`Payload`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing that can be kept of packets; write full, headers, none, or how many bytes of each payload"
)]
pub struct PayloadError(String);

const FIRST: &str = "first";

impl Payload {
    /// A key, and what its end says.
    fn split(key: &str) -> (&str, Self) {
        let of_end = |end: &str| match end {
            "headers" => Some(Self::First(0)),
            "none" => Some(Self::None),
            _ => match plain(end.strip_prefix(FIRST)?)?.try_into().ok()? {
                0 => None,
                bytes => Some(Self::First(bytes)),
            },
        };
        let split = key.rsplit_once('.');
        let found = split.and_then(|(key, end)| Some((key, of_end(end)?)));
        found.unwrap_or((key, Self::Full))
    }

    /// What a packet object has, by its key.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        Self::split(key).1
    }

    /// What the names of its packet objects end with.
    fn end(self) -> String {
        match self {
            Self::Full => String::new(),
            Self::First(0) | Self::None => format!(".{self}"),
            Self::First(bytes) => format!(".{FIRST}{bytes}"),
        }
    }
}

/// As configurations, comments and footers have it: `full`, `headers`, `none`, or a number of bytes.
impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("full"),
            Self::First(0) => f.write_str("headers"),
            Self::First(bytes) => bytes.fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

impl std::str::FromStr for Payload {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        match text.trim() {
            "full" => Ok(Self::Full),
            "headers" => Ok(Self::First(0)),
            "none" => Ok(Self::None),
            number => match number.parse() {
                Ok(bytes) => Ok(Self::First(bytes)),
                Err(_) => Err(PayloadError(text.to_owned())),
            },
        }
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
    /// Number of the object in its run; never used twice in it. Of one that replaces others, the least of theirs.
    pub seq: u64,
    /// The objects that it was made of, and replaces: of the same hour, node and run.
    pub replaces: Option<Replaces>,
}

/// Which objects another replaces, as its name says: `c<generation>.<numbers>`. The numbers are counted from the
/// object's own, in ascending ranges: `c1.0-2.5` of object 7 says 7, 8, 9 and 12.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replaces {
    generation: u32,
    /// First and last of each range, ascending and apart, from 0 on.
    ranges: Vec<(u64, u64)>,
}

impl Replaces {
    /// Replaces the objects of these numbers, ascending. `None` where there are none.
    #[must_use]
    pub fn new(generation: u32, seqs: impl IntoIterator<Item = u64>) -> Option<(u64, Self)> {
        let mut seqs = seqs.into_iter();
        let first = seqs.next()?;
        let mut ranges = vec![(0, 0)];
        for seq in seqs {
            let at = seq.checked_sub(first)?;
            match ranges.last_mut() {
                Some(last) if at == last.1 + 1 => last.1 = at,
                Some(last) if at > last.1 => ranges.push((at, at)),
                _ => return None,
            }
        }
        Some((first, Self { generation, ranges }))
    }

    /// Which attempt it is: the higher one counts where two replace the same.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    fn has(&self, at: u64) -> bool {
        let behind = self.ranges.partition_point(|(first, _)| *first <= at);
        let range = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|(_, last)| at <= *last)
    }

    fn parse(text: &str) -> Option<Self> {
        let (generation, numbers) = text.split_once('.')?;
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for range in numbers.split('.') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (plain(first)?, plain(last)?);
            let least = ranges.last().map_or(0, |(_, last)| last.saturating_add(1));
            if first < least || last < first || ranges.is_empty() && first != 0 {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Self {
            generation: plain(generation)?.try_into().ok()?,
            ranges,
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.generation)?;
        self.ranges.iter().try_for_each(|(first, last)| {
            if first == last {
                write!(f, ".{first}")
            } else {
                write!(f, ".{first}-{last}")
            }
        })
    }
}

/// A number as it is written here: digits alone, no zeros in front.
fn plain(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
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
    /// `NODE_RUN_SEQ`: the last part of its keys, without their ends.
    pub(crate) fn file(&self) -> String {
        let whole = self.to_string();
        whole.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The objects that it replaces, as [`ObjectName::file`] shows them.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = String> {
        let ranges = self.replaces.iter().flat_map(|of| &of.ranges);
        let seqs = ranges.flat_map(|(first, last)| *first..=*last);
        seqs.map(|at| {
            let plain = Self {
                seq: self.seq.saturating_add(at),
                replaces: None,
                ..self.clone()
            };
            plain.file()
        })
    }

    /// Key of the object with the packets, in the usual format, whole.
    #[must_use]
    pub fn packets_key(&self) -> String {
        self.packets_key_as(PacketFormat::default(), Payload::Full)
    }

    /// Key of the object with the packets.
    #[must_use]
    pub fn packets_key_as(&self, format: PacketFormat, payload: Payload) -> String {
        format!("packets/{self}.{}{}", format.name(), payload.end())
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
        } else if let (of_packets, _) = Payload::split(last)
            && let Some(name) = PacketFormat::ALL.iter().find_map(|of| of.stem(of_packets))
        {
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
        let (seq, replaces) = match seq.split_once('c') {
            Some((seq, replaces)) => (seq, Some(Replaces::parse(replaces)?)),
            None => (seq, None),
        };
        let found = Self {
            cluster: unescape(cluster.strip_prefix("cluster=")?)?,
            recording: unescape(recording.strip_prefix("recording=")?)?,
            hour: Hour::parse(date.strip_prefix("date=")?, hour.strip_prefix("hour=")?)?,
            node: unescape(node)?,
            run: parse_run(run)?,
            seq: parse_seq(seq)?,
            replaces,
        };
        Some((part, found))
    }

    /// What names have in common that may replace each other: those of one hour and run of a node.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let of = |name: &Self| (name.run, name.hour);
        of(self) == of(other)
            && self.node == other.node
            && self.recording == other.recording
            && self.cluster == other.cluster
    }

    /// Whether it replaces another, if it counts.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        let has = |seq: u64| {
            let at = seq.checked_sub(self.seq);
            at.is_some_and(|at| self.replaces.as_ref().is_some_and(|of| of.has(at)))
        };
        self.is_beside(other)
            && match &other.replaces {
                None => has(other.seq),
                Some(of) => {
                    let ends = of.ranges.iter().flat_map(|(first, last)| [first, last]);
                    self != other && ends.map(|at| other.seq.saturating_add(*at)).any(has)
                }
            }
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
            replaces,
        } = self;
        let (cluster, recording) = (escape(cluster), escape(recording));
        let recorder = recorder(node, *run);
        write!(
            f,
            "cluster={cluster}/recording={recording}/{hour}/{recorder}_{seq:010}"
        )?;
        replaces.iter().try_for_each(|of| of.fmt(f))
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
            replaces: None,
        }
    }

    #[test]
    fn a_name_says_what_its_object_replaces() {
        let of = |seqs: &[u64]| {
            let (seq, replaces) = Replaces::new(2, seqs.iter().copied()).unwrap();
            ObjectName {
                replaces: Some(replaces),
                ..name("c", "r", 0, "n_1", 0xab, seq)
            }
        };
        let compacted = of(&[7, 8, 9, 12, 1 << 41]);
        assert_eq!(
            compacted.entries_key(),
            "entries/cluster=c/recording=r/date=1970-01-01/hour=00/n_1_00000000000000ab_0000000007c2.0-2.5.2199023255545.parquet"
        );
        for key in [
            compacted.packets_key(),
            compacted.names_key(),
            compacted.streams_key(),
        ] {
            let found = ObjectName::parse(&key).unwrap().1;
            assert_eq!(found, compacted, "{key}");
        }
        for seq in 0..20 {
            let plain = name("c", "r", 0, "n_1", 0xab, seq);
            assert_eq!(compacted.replaces(&plain), [7, 8, 9, 12].contains(&seq));
            assert!(!plain.replaces(&compacted));
        }
        let elsewhere = name("c", "r", 3_600_000_000_000, "n_1", 0xab, 8);
        assert!(!compacted.replaces(&elsewhere) && !compacted.replaces(&compacted));
        assert!(compacted.replaces(&of(&[1, 2, 8])) && !compacted.replaces(&of(&[1, 10, 13])));
        assert_eq!(Replaces::new(1, [3, 3]), None);
        for bad in [
            "c", "c1", "c1.", "c1.1", "c1.0-", "c1.0.0", "c1.0-2.1", "c1.00", "c.0", "c-1.0",
        ] {
            let key = compacted
                .streams_key()
                .replace("c2.0-2.5.2199023255545", bad);
            assert_eq!(ObjectName::parse(&key), None, "{bad}");
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
        let payloads = [
            Payload::Full,
            Payload::First(0),
            Payload::First(128),
            Payload::None,
        ];
        for (format, payload) in PacketFormat::ALL
            .into_iter()
            .flat_map(|format| payloads.map(|payload| (format, payload)))
        {
            let key = object.packets_key_as(format, payload);
            assert_eq!(PacketFormat::of_key(&key), Some(format));
            assert_eq!(Payload::of_key(&key), payload, "{key}");
            let parsed = Some((Part::Packets, object.clone()));
            assert_eq!(ObjectName::parse(&key), parsed, "{key}");
            assert_eq!(payload.to_string().parse(), Ok(payload));
        }
        let cut = object.packets_key_as(PacketFormat::PcapngGz, Payload::First(128));
        assert!(cut.ends_with("_0000000002.pcapng.gz.first128"), "{cut}");
        for other in [
            ".first",
            ".first0",
            ".first007",
            ".first-1",
            ".full",
            ".headers.none",
        ] {
            let key = format!("{}{other}", object.packets_key());
            assert_eq!(ObjectName::parse(&key), None, "{key}");
        }
        for bad in ["", "some", "-1", "1k", "4294967296"] {
            assert!(bad.parse::<Payload>().is_err(), "{bad}");
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
