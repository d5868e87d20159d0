//! The common part of every entry: who spoke with whom, when, and for how long.

use crate::digits::{Digits, write_uint};
use crate::json::{Members, write_str};
use crate::time::Rfc3339;
use crate::{Ctx, ProtocolInfo, Value};
use std::net::IpAddr;
use std::sync::Arc;

/// How a name was found (Kubeshark's `resolutionMechanism`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// No name is known.
    #[default]
    None,
    /// By the address.
    Ip,
    /// By address and port.
    IpAndPort,
    /// By a DNS answer seen on the wire.
    Dns,
    /// By a Host header.
    HttpHeader,
}

impl Mechanism {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::None => "none",
            Mechanism::Ip => "ip",
            Mechanism::IpAndPort => "ip-and-port",
            Mechanism::Dns => "dns",
            Mechanism::HttpHeader => "http-header",
        }
    }
}

/// What an address was called at the time. Unknown parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    /// The name to show.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Service.
    pub service: String,
    /// DNS name.
    pub dns: String,
    /// How it was found.
    pub mechanism: Mechanism,
    /// Since when it held, in ns since the epoch; 0 = always.
    pub since: i64,
    /// What runs there, where that is known.
    pub workload: Option<Box<Workload>>,
}

/// What runs at an address. Unknown parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// The node it runs on.
    pub node: String,
    /// Its process.
    pub process: String,
    /// Labels of its pod, by name.
    pub labels: Vec<(String, String)>,
    /// Annotations of its pod, by name.
    pub annotations: Vec<(String, String)>,
}

impl Name {
    /// The pod, else the service.
    fn pod_or_service(&self) -> &str {
        if self.pod.is_empty() {
            &self.service
        } else {
            &self.pod
        }
    }
}

/// One end of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// What the address was called.
    pub name: &'a Arc<Name>,
}

/// Where entries come from: this process, or the recorder whose packets are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// `ip:port` of the worker.
    pub worker: String,
    /// Node name.
    pub node: String,
    /// Node address.
    pub node_ip: String,
    /// Cluster.
    pub cluster: String,
    /// 64 random bits a process start, in hex.
    pub run: String,
    /// `af_packet`, `ebpf`, …: Kubeshark's `capture.backend`.
    pub backend: &'static str,
    /// The recording that is read, where one was asked for.
    pub recording: String,
    /// Whether the packets are kept: those of a capture or a recording are, live ones leave the ring.
    pub kept: bool,
    /// Whether the payload of the packets was not recorded, so that an entry has no more than its index.
    pub unrecorded: bool,
}

/// What is wrong with an entry as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `error.type`.
    pub kind: FaultKind,
    /// `error.msg`.
    pub msg: &'static str,
}

/// Kinds of [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The bytes could not be understood.
    Dissection,
    /// The connection failed.
    Connection,
    /// No answer came in time.
    Timeout,
    /// A request without its response, or the other way round.
    PairNotFound,
}

impl FaultKind {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Dissection => "dissection",
            FaultKind::Connection => "connection",
            FaultKind::Timeout => "timeout",
            FaultKind::PairNotFound => "pair-not-found",
        }
    }
}

/// The transport of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The common part of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// Where it comes from.
    pub origin: &'a Origin,
    /// Number of its stream, unique on its node.
    pub stream: u64,
    /// TCP or UDP; decides the stream's name.
    pub transport: Transport,
    /// Position in its stream.
    pub index: u32,
    /// The protocol as it is shown.
    pub info: &'static ProtocolInfo,
    /// Whether the bytes were taken outside encryption.
    pub tls: bool,
    /// The requester.
    pub src: End<'a>,
    /// The responder.
    pub dst: End<'a>,
    /// Time of the request's first packet, in ns since the epoch.
    pub ts: i64,
    /// Time of the response's last packet, where both are there.
    pub end_ts: Option<i64>,
    /// Bytes of the request on the wire.
    pub request_size: u64,
    /// Bytes of the response on the wire.
    pub response_size: u64,
    /// What is wrong with the exchange.
    pub fault: Option<Fault>,
    /// Bytes of its stream that are missing from it.
    pub missing: u64,
    /// Since when the recording of its stream is whole, where what came before had left the ring.
    pub truncated_before: Option<i64>,
    /// Set by a script's test.
    pub passed: bool,
    /// Set by a script's test.
    pub failed: bool,
    /// The recordings it is in, a line each; empty where none is known to keep it.
    pub record: &'a str,
}

crate::fields! {
    /// The table of the common part.
    pub static COMMON ("common"), fn get, text, columns, write(&Common<'a>) {
        /// `<worker>/<stream>-<index>`: unique within one run of one worker.
        "id", "", Str, Entry => |c, x| c.id(x), json |c, _, out| c.write_id(out);
        /// Number of the entry: that of its stream and its position there, unique within one run of one worker.
        "", "id", Int, Entry => |c, _| Value::Int(c.number());
        /// Position of the entry in its stream.
        "index", "index", Int, Entry => |c, _| Value::Int(i64::from(c.index));
        /// Name of the stream's capture: `000000017720.pcap`, `000000025277_udp.pcap`.
        "stream", "stream", Str, Entry => |c, x| c.stream_value(x), json |c, _, out| c.write_stream(out);
        /// `ip:port` of the worker that saw it.
        "worker", "worker", Str, Flow => |c, _| Value::Str(&c.origin.worker);
        /// Address of the node that saw it.
        "node.ip", "node_ip", Str, Packet => |c, _| Value::Str(&c.origin.node_ip);
        /// Name of the node that saw it.
        "node.name", "node_name", Str, Packet => |c, _| Value::Str(&c.origin.node);
        /// The node as a map of name and ip.
        "", "node", StrMap, Packet => |c, x| c.node_map(x);
        /// What tells the node from those of other clusters: `cluster/node`, or the node's name where no cluster is known.
        "", "node_id", Str, Packet => |c, x| c.node_id(x);
        /// The protocol: name, version, abbreviation and how it is shown.
        "protocol", "", Any, Head => |c, x| c.protocol_map(x);
        /// Abbreviation of the protocol: `HTTP`, `DNS`.
        "", "protocol", Str, Head => |c, _| Value::Str(c.info.abbr);
        /// Whether the bytes were taken before encryption or after decryption: `capture_source` is `ebpf_tls`.
        "tls", "tls", Bool, Flow => |c, _| Value::Bool(c.tls);
        /// The requester.
        "src", "", Any, Flow => |c, x| c.src.map(x), json |c, _, out| c.src.write(out);
        /// Address of the requester.
        "", "src.ip", Str, Packet => |c, x| c.src.ip_value(x);
        /// Port of the requester.
        "", "src.port", Int, Packet => |c, _| Value::Int(i64::from(c.src.port));
        /// Name of the requester: pod, else service, else DNS name, else process.
        "", "src.name", Str, Flow => |c, _| Value::Str(&c.src.name.name);
        /// Namespace of the requester.
        "", "src.namespace", Str, Flow => |c, _| Value::Str(&c.src.name.namespace);
        /// Pod of the requester; its service, where the pod is not known.
        "", "src.pod.name", Str, Flow => |c, _| Value::Str(c.src.name.pod_or_service());
        /// Namespace of the requester's pod.
        "", "src.pod.namespace", Str, Flow => |c, _| Value::Str(&c.src.name.namespace);
        /// Service of the requester.
        "", "src.service.name", Str, Flow => |c, _| Value::Str(&c.src.name.service);
        /// Namespace of the requester's service.
        "", "src.service.namespace", Str, Flow => |c, _| Value::Str(&c.src.name.namespace);
        /// DNS name of the requester.
        "", "src.dns", Str, Flow => |c, _| Value::Str(&c.src.name.dns);
        /// The responder.
        "dst", "", Any, Flow => |c, x| c.dst.map(x), json |c, _, out| c.dst.write(out);
        /// Address of the responder.
        "", "dst.ip", Str, Packet => |c, x| c.dst.ip_value(x);
        /// Port of the responder.
        "", "dst.port", Int, Packet => |c, _| Value::Int(i64::from(c.dst.port));
        /// Name of the responder: pod, else service, else DNS name, else process.
        "", "dst.name", Str, Flow => |c, _| Value::Str(&c.dst.name.name);
        /// Namespace of the responder.
        "", "dst.namespace", Str, Flow => |c, _| Value::Str(&c.dst.name.namespace);
        /// Pod of the responder; its service, where the pod is not known.
        "", "dst.pod.name", Str, Flow => |c, _| Value::Str(c.dst.name.pod_or_service());
        /// Namespace of the responder's pod.
        "", "dst.pod.namespace", Str, Flow => |c, _| Value::Str(&c.dst.name.namespace);
        /// Service of the responder.
        "", "dst.service.name", Str, Flow => |c, _| Value::Str(&c.dst.name.service);
        /// Namespace of the responder's service.
        "", "dst.service.namespace", Str, Flow => |c, _| Value::Str(&c.dst.name.namespace);
        /// DNS name of the responder.
        "", "dst.dns", Str, Flow => |c, _| Value::Str(&c.dst.name.dns);
        /// Namespaces of both ends.
        "", "namespaces", StrList, Flow => |c, x| c.both(x, |n| &n.namespace);
        /// Pods of both ends.
        "", "pods", StrList, Flow => |c, x| c.both(x, |n| &n.pod);
        /// Services of both ends.
        "", "services", StrList, Flow => |c, x| c.both(x, |n| &n.service);
        /// DNS names of both ends.
        "", "dns_resolutions", StrList, Flow => |c, x| c.both(x, |n| &n.dns);
        /// Labels of the end on the node that saw it, by name.
        "", "local_labels", StrMap, Flow => |c, x| c.workload(Peer::Local, |w| pairs(&w.labels, x));
        /// Annotations of the end on the node that saw it, by name.
        "", "local_annotations", StrMap, Flow => |c, x| c.workload(Peer::Local, |w| pairs(&w.annotations, x));
        /// Process of the end on the node that saw it.
        "", "local_process_name", Str, Flow => |c, _| c.workload(Peer::Local, |w| Value::Str(&w.process));
        /// Node of the end on the node that saw it.
        "", "local_node_name", Str, Flow => |c, _| c.peer_node(Peer::Local);
        /// Why the end on the node that saw it has no name: `cache_miss` where none is known for its address; empty where it has one.
        "", "local_resolution_status", Str, Flow => |c, _| c.resolution(Peer::Local);
        /// Labels of the other end, by name.
        "", "remote_labels", StrMap, Flow => |c, x| c.workload(Peer::Remote, |w| pairs(&w.labels, x));
        /// Annotations of the other end, by name.
        "", "remote_annotations", StrMap, Flow => |c, x| c.workload(Peer::Remote, |w| pairs(&w.annotations, x));
        /// Process of the other end.
        "", "remote_process_name", Str, Flow => |c, _| c.workload(Peer::Remote, |w| Value::Str(&w.process));
        /// Node of the other end.
        "", "remote_node_name", Str, Flow => |c, _| c.peer_node(Peer::Remote);
        /// Why the other end has no name: `cache_miss` where none is known for its address; empty where it has one.
        "", "remote_resolution_status", Str, Flow => |c, _| c.resolution(Peer::Remote);
        /// Time of the request's first packet, in ms since the epoch.
        "timestamp", "", Int, Entry => |c, _| Value::Int(c.ts.div_euclid(1_000_000));
        /// Time of the request's first packet.
        "", "timestamp", Time, Entry => |c, _| Value::Time(c.ts);
        /// Time of the request's first packet, RFC 3339 with nanoseconds.
        "startTime", "", Str, Entry => |c, x| moment(c.ts, x), json |c, _, out| write_moment(c.ts, out);
        /// From the request's first to the response's last packet, in µs; 0 where one is missing.
        "elapsedTime", "elapsed_time", Int, Entry => |c, x| c.elapsed(x);
        /// Bytes of the request.
        "requestSize", "request_size", Int, Entry => |c, _| Value::Int(size(c.request_size));
        /// Bytes of the response.
        "responseSize", "response_size", Int, Entry => |c, _| Value::Int(size(c.response_size));
        /// Bytes of request and response.
        "size", "", Int, Entry => |c, _| Value::Int(size(c.request_size + c.response_size));
        /// What is wrong with the exchange: null, or type and msg.
        "error", "", Any, Entry => |c, x| c.error(x);
        /// Bytes of the stream that are missing from this entry.
        "missingBytes", "", Int, Entry => |c, _| if c.missing == 0 { Value::Missing } else { Value::Int(size(c.missing)) };
        /// Since when the recording of the stream is whole, where what came before had left the ring: RFC 3339.
        "truncatedBefore", "", Str, Entry => |c, x| c.truncated_before.map_or(Value::Missing, |ts| moment(ts, x));
        /// `not recorded` where the packets' payload is not in the recording: the entry has no more than its index.
        "payload", "", Str, Entry => |c, _| if c.origin.unrecorded { Value::Str("not recorded") } else { Value::Missing };
        /// Set by a script's test.
        "passed", "", Bool, Entry => |c, _| Value::Bool(c.passed);
        /// Set by a script's test.
        "failed", "", Bool, Entry => |c, _| Value::Bool(c.failed);
        /// Name of the entry's JSON file.
        "entryFile", "", Str, Entry => |c, x| c.entry_file(x), json |c, _, out| c.write_entry_file(out);
        /// The recordings it is in, a line each; empty where none is known to keep it.
        "record", "", Str, Entry => |c, _| Value::Str(c.record);
        /// Number of its connection, which is its stream's.
        "", "conn_id", Int, Packet => |c, _| Value::Int(size(c.stream));
        /// Number of its flow, which is its stream's.
        "", "flow_id", Int, Packet => |c, _| Value::Int(size(c.stream));
        /// Whether its packets are kept, as those of captures and recordings are; live ones may have left the ring.
        "", "has_pcap", Bool, Packet => |c, _| Value::Bool(c.origin.kept);
        /// How it was captured: `af_packet`, `ebpf`; `pcap` for captures that others made.
        "capture.backend", "capture_backend", Str, Packet => |c, _| Value::Str(c.origin.backend);
        /// Where it was captured: `af_packet`, `ebpf`, `ebpf_tls`, else `unspecified`.
        "capture.source", "capture_source", Str, Packet => |c, _| Value::Str(c.capture_source());
        /// Where it was captured, as a number: 0 unspecified, 1 `af_packet`, 2 `ebpf`, 3 `ebpf_tls`.
        "", "capture_source_code", Int, Packet => |c, _| Value::Int(c.capture_source_code());
        /// The capture as a map of source and backend.
        "", "capture", StrMap, Packet => |c, x| c.capture_map(x);
    }
}

/// The fields that only change with where an entry comes from and its protocol: they stand side by side.
const SHARED: (usize, usize) = (COMMON.index("worker"), COMMON.index("tls") + 1);

impl<'a> Common<'a> {
    pub(crate) fn write_before_shared(&self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<0, { SHARED.0 }>(self, ctx, members);
    }

    pub(crate) fn write_shared(&self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<{ SHARED.0 }, { SHARED.1 }>(self, ctx, members);
    }

    pub(crate) fn write_behind_shared(&self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        write::<{ SHARED.1 }, { usize::MAX }>(self, ctx, members);
    }

    fn write_id(&self, out: &mut Vec<u8>) -> bool {
        write_str(&self.origin.worker, out);
        out.pop(); // the quote
        out.push(b'/');
        self.write_stream_digits(out);
        out.extend_from_slice(b".pcap-");
        write_uint(u64::from(self.index), out);
        out.push(b'"');
        true
    }

    fn write_stream(&self, out: &mut Vec<u8>) -> bool {
        out.push(b'"');
        self.write_stream_digits(out);
        out.extend_from_slice(b".pcap\"");
        true
    }

    fn write_entry_file(&self, out: &mut Vec<u8>) -> bool {
        out.push(b'"');
        self.write_stream_digits(out);
        out.extend_from_slice(b"_pcap-");
        write_uint(u64::from(self.index), out);
        out.extend_from_slice(b"_entry.json\"");
        true
    }

    fn write_stream_digits(&self, out: &mut Vec<u8>) {
        self.stream_digits().write(out);
        out.extend_from_slice(self.suffix().as_bytes());
    }
}

/// One of both ends, seen from the node.
#[derive(Clone, Copy)]
enum Peer {
    Local,
    Remote,
}

fn pairs<'a>(of: &'a [(String, String)], ctx: &Ctx<'a>) -> Value<'a> {
    Value::Map(ctx.list(of.iter().map(|(key, value)| (&**key, Value::Str(value)))))
}

/// Bits of an entry's number that are its position in the stream.
const INDEX_BITS: u32 = 24;

/// Digits of a stream's number in names of files.
const STREAM_DIGITS: usize = 12;

fn write_moment(ts: i64, out: &mut Vec<u8>) -> bool {
    out.push(b'"');
    out.extend_from_slice(&Rfc3339(ts).bytes());
    out.push(b'"');
    true
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl<'a> End<'a> {
    fn ip_value(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let IpAddr::V4(ip) = self.ip else {
            return Value::Str(ctx.format(format_args!("{}", self.ip)));
        };
        let digits = ip.octets().map(|octet| Digits::new(u64::from(octet)));
        let [a, b, c, d] = digits.each_ref().map(Digits::as_str);
        Value::Str(joined(ctx, &[a, ".", b, ".", c, ".", d]))
    }

    fn port_value(&self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Str(joined(ctx, &[Digits::new(u64::from(self.port)).as_str()]))
    }

    fn map(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let name = self.name;
        Value::Map(ctx.list([
            ("ip", self.ip_value(ctx)),
            ("port", self.port_value(ctx)),
            ("name", Value::Str(&name.name)),
            ("namespace", Value::Str(&name.namespace)),
            ("pod", object(&name.pod, &name.namespace, ctx)),
            ("endpointSlice", Value::Null),
            ("service", object(&name.service, &name.namespace, ctx)),
            ("resolutionMechanism", Value::Str(name.mechanism.name())),
        ]))
    }
}

impl<'a> End<'a> {
    /// What [`End::map`] has under a key, without building the map.
    fn under(&self, key: &str, ctx: &Ctx<'a>) -> Value<'a> {
        let name = self.name;
        match key {
            "name" => Value::Str(&name.name),
            "namespace" => Value::Str(&name.namespace),
            "pod" => object(&name.pod, &name.namespace, ctx),
            "service" => object(&name.service, &name.namespace, ctx),
            "ip" => self.ip_value(ctx),
            "port" => self.port_value(ctx),
            "endpointSlice" => Value::Null,
            "resolutionMechanism" => Value::Str(name.mechanism.name()),
            _ => Value::Missing,
        }
    }
}

impl End<'_> {
    /// As [`End::map`].
    fn write(&self, out: &mut Vec<u8>) -> bool {
        let name = self.name;
        out.extend_from_slice(b"{\"ip\":\"");
        write_ip(self.ip, out);
        out.extend_from_slice(b"\",\"port\":\"");
        write_uint(u64::from(self.port), out);
        out.extend_from_slice(b"\",\"name\":");
        write_str(&name.name, out);
        out.extend_from_slice(b",\"namespace\":");
        write_str(&name.namespace, out);
        out.extend_from_slice(b",\"pod\":");
        write_object(&name.pod, &name.namespace, out);
        out.extend_from_slice(b",\"endpointSlice\":null,\"service\":");
        write_object(&name.service, &name.namespace, out);
        out.extend_from_slice(b",\"resolutionMechanism\":\"");
        out.extend_from_slice(name.mechanism.name().as_bytes());
        out.extend_from_slice(b"\"}");
        true
    }
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                write_uint(u64::from(octet), out);
            }
        }
        IpAddr::V6(ip) => {
            // writing to a Vec cannot fail
            let _ = std::io::Write::write_fmt(out, format_args!("{ip}"));
        }
    }
}

/// As [`object`].
fn write_object(name: &str, namespace: &str, out: &mut Vec<u8>) {
    if name.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    out.extend_from_slice(b"{\"metadata\":{\"name\":");
    write_str(name, out);
    out.extend_from_slice(b",\"namespace\":");
    write_str(namespace, out);
    out.extend_from_slice(b"}}");
}

fn moment<'a>(ts: i64, ctx: &Ctx<'a>) -> Value<'a> {
    Value::Str(ctx.text(ctx.arena.alloc(Rfc3339(ts).bytes())))
}

/// Text put together in the scratch space, at a fraction of what formatting costs.
fn joined<'a>(ctx: &Ctx<'a>, parts: &[&str]) -> &'a str {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut text = bumpalo::collections::String::with_capacity_in(len, ctx.arena);
    for part in parts {
        text.push_str(part);
    }
    text.into_bump_str()
}

/// A Kubernetes object as far as it is known: its metadata.
fn object<'a>(name: &'a str, namespace: &'a str, ctx: &Ctx<'a>) -> Value<'a> {
    if name.is_empty() {
        return Value::Null;
    }
    let metadata = Value::Map(ctx.list([
        ("name", Value::Str(name)),
        ("namespace", Value::Str(namespace)),
    ]));
    Value::Map(ctx.list([("metadata", metadata)]))
}

impl<'a> Common<'a> {
    /// The value of the field with this index in [`COMMON`].
    pub fn get(&self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        get(self, field, ctx)
    }

    /// The value under a key of a map field, without building the map where it can be told so.
    pub fn key(&self, field: u16, key: &str, ctx: &Ctx<'a>) -> Value<'a> {
        const SRC: usize = COMMON.index("src");
        const DST: usize = COMMON.index("dst");
        const PROTOCOL: usize = COMMON.index("protocol");
        const NODE: usize = COMMON.kfl2_index("node");
        const CAPTURE: usize = COMMON.kfl2_index("capture");
        match (usize::from(field), key) {
            (SRC, _) => self.src.under(key, ctx),
            (DST, _) => self.dst.under(key, ctx),
            (PROTOCOL, "name") => Value::Str(self.info.name),
            (PROTOCOL, "abbr") => Value::Str(self.info.abbr),
            (NODE, "name") => Value::Str(&self.origin.node),
            (NODE, "ip") => Value::Str(&self.origin.node_ip),
            (CAPTURE, "backend") => Value::Str(self.origin.backend),
            (CAPTURE, "source") => Value::Str(self.capture_source()),
            _ => self.get(field, ctx).key(key, false),
        }
    }

    /// Name of the stream's capture.
    pub fn stream_name(&self, ctx: &Ctx<'a>) -> &'a str {
        joined(
            ctx,
            &[self.stream_digits().as_str(), self.suffix(), ".pcap"],
        )
    }

    /// Elapsed µs, where both sides are there.
    pub fn elapsed_us(&self) -> Option<i64> {
        self.end_ts.map(|end| (end - self.ts) / 1000)
    }

    fn stream_digits(&self) -> Digits {
        Digits::padded(self.stream, STREAM_DIGITS)
    }

    fn suffix(&self) -> &'static str {
        if self.transport == Transport::Udp {
            "_udp"
        } else {
            ""
        }
    }

    fn stream_value(&self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Str(self.stream_name(ctx))
    }

    fn id(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let (stream, index) = (self.stream_digits(), Digits::new(u64::from(self.index)));
        let parts = [
            &self.origin.worker,
            "/",
            stream.as_str(),
            self.suffix(),
            ".pcap-",
            index.as_str(),
        ];
        Value::Str(joined(ctx, &parts))
    }

    fn entry_file(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let (stream, index) = (self.stream_digits(), Digits::new(u64::from(self.index)));
        let parts = [
            stream.as_str(),
            self.suffix(),
            "_pcap-",
            index.as_str(),
            "_entry.json",
        ];
        Value::Str(joined(ctx, &parts))
    }

    fn elapsed(&self, _: &Ctx<'a>) -> Value<'a> {
        Value::Int(self.elapsed_us().unwrap_or(0))
    }

    fn capture_source(&self) -> &'static str {
        match self.origin.backend {
            _ if self.tls => "ebpf_tls",
            known @ ("" | "af_packet" | "ebpf") => known,
            _ => "unspecified",
        }
    }

    fn capture_source_code(&self) -> i64 {
        match self.capture_source() {
            "af_packet" => 1,
            "ebpf" => 2,
            "ebpf_tls" => 3,
            _ => 0,
        }
    }

    /// Streams are numbered from 1 on, and hold fewer entries than this leaves room for.
    fn number(&self) -> i64 {
        size(self.stream << INDEX_BITS | u64::from(self.index))
    }

    fn node_id(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let (cluster, node) = (&*self.origin.cluster, &*self.origin.node);
        Value::Str(if cluster.is_empty() {
            node
        } else {
            joined(ctx, &[cluster, "/", node])
        })
    }

    /// The end on the node that saw the entry, or the other one; none where it is not known which is which. Where both
    /// are there, the responder is the local one.
    fn peer(&self, peer: Peer) -> Option<&End<'a>> {
        let node = |end: &End<'a>| end.name.workload.as_ref().map_or("", |w| &w.node);
        let here = |end: &End<'a>| match node(end) {
            "" => self.origin.node_ip.parse() == Ok(end.ip),
            node => node == self.origin.node,
        };
        let (local, remote) = match (here(&self.dst), here(&self.src)) {
            (true, _) => (&self.dst, &self.src),
            (false, true) => (&self.src, &self.dst),
            (false, false) => return None,
        };
        Some(match peer {
            Peer::Local => local,
            Peer::Remote => remote,
        })
    }

    fn workload(&self, peer: Peer, read: impl FnOnce(&'a Workload) -> Value<'a>) -> Value<'a> {
        let workload = self.peer(peer).and_then(|end| end.name.workload.as_deref());
        workload.map_or(Value::Missing, read)
    }

    fn peer_node(&self, peer: Peer) -> Value<'a> {
        if matches!(peer, Peer::Local) && self.peer(peer).is_some() {
            return Value::Str(&self.origin.node);
        }
        self.workload(peer, |w| Value::Str(&w.node))
    }

    fn resolution(&self, peer: Peer) -> Value<'a> {
        let nameless = |end: &End<'a>| end.name.mechanism == Mechanism::None;
        Value::Str(if self.peer(peer).is_some_and(nameless) {
            "cache_miss"
        } else {
            ""
        })
    }

    fn node_map(&self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Map(ctx.list([
            ("name", Value::Str(&self.origin.node)),
            ("ip", Value::Str(&self.origin.node_ip)),
        ]))
    }

    fn capture_map(&self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Map(ctx.list([
            ("backend", Value::Str(self.origin.backend)),
            ("source", Value::Str(self.capture_source())),
        ]))
    }

    fn error(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let Some(fault) = self.fault else {
            return Value::Null;
        };
        Value::Map(ctx.list([
            ("type", Value::Str(fault.kind.name())),
            ("msg", Value::Str(fault.msg)),
        ]))
    }

    fn both(&self, ctx: &Ctx<'a>, part: impl Fn(&'a Name) -> &'a String) -> Value<'a> {
        let (a, b) = (part(self.src.name), part(self.dst.name));
        let ends = [a, b];
        let ends = if a == b { &ends[..1] } else { &ends[..] };
        Value::List(ctx.list(ends.iter().filter(|n| !n.is_empty()).map(|n| Value::Str(n))))
    }

    fn protocol_map(&self, ctx: &Ctx<'a>) -> Value<'a> {
        let info = self.info;
        let ports = Value::List(ctx.list(info.ports.iter().map(|p| Value::Str(p))));
        Value::Map(ctx.list([
            ("name", Value::Str(info.name)),
            ("version", Value::Str(info.version)),
            ("abbr", Value::Str(info.abbr)),
            ("longName", Value::Str(info.long_name)),
            ("macro", Value::Str(info.macro_name)),
            ("backgroundColor", Value::Str(info.background)),
            ("foregroundColor", Value::Str(info.foreground)),
            ("fontSize", Value::Int(12)),
            ("referenceLink", Value::Str(info.reference)),
            ("ports", ports),
            ("layer3", Value::Str("ip")),
            ("layer4", Value::Str(info.layer4)),
            ("priority", Value::Int(i64::from(info.priority))),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bump, Nothing};

    #[test]
    fn what_is_under_a_key_of_an_end_is_what_its_map_has() {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let named = Name {
            name: "catalogue".into(),
            namespace: "shop".into(),
            pod: "catalogue-0".into(),
            service: "catalogue".into(),
            mechanism: Mechanism::Ip,
            ..Name::default()
        };
        for name in [Arc::new(named), Arc::default()] {
            for ip in ["10.0.0.1", "fd00::1"] {
                let end = End {
                    ip: ip.parse().expect("an address"),
                    port: 8080,
                    name: &name,
                };
                let Value::Map(map) = end.map(&ctx) else {
                    panic!("an end is a map");
                };
                for (key, value) in map {
                    assert_eq!(end.under(key, &ctx), *value, "{key}");
                }
                assert_eq!(end.under("nothing", &ctx), Value::Missing);
            }
        }
    }
}
