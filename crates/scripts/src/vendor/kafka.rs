//! `vendor.kafka`: messages into a topic of Apache Kafka.
//!
//! The crate has the protocol, the connections are ours: brokers name further brokers, and each
//! connection must go through the doors.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use indexmap::IndexMap;
use kafka_protocol::{
    ResponseError,
    error::ParseResponseErrorCode,
    messages::{
        MetadataRequest, ProduceRequest, RequestHeader, ResponseHeader, SaslAuthenticateRequest,
        SaslHandshakeRequest, TopicName,
        metadata_request::MetadataRequestTopic,
        metadata_response::MetadataResponse,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer},
    records::{
        Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
        Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
    },
};
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    Error, ErrorKind, Vendors,
    error::excerpt,
    http::{Http, refusal_in, too_large, too_slow},
    scram::{Hash, Scram},
};

const CALL: &str = "vendor.kafka";
const PORT: u16 = 9092;

/// Versions that brokers from 0.11 to 4.x speak.
const METADATA: i16 = 1;
const PRODUCE: i16 = 3;
const HANDSHAKE: i16 = 1;
const AUTHENTICATE: i16 = 0;
/// All replicas that are in sync have it.
const ACKS_ALL: i16 = -1;
/// A topic that is made by the first message has no leader at once.
const NO_LEADER_PAUSE: Duration = Duration::from_millis(250);
/// The longest answer of a broker: metadata of one topic.
const MAX_ANSWER: usize = 4 << 20;

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaMessage {
    /// Messages with the same key go to the same partition, the one that Java's clients take.
    pub key: Option<Vec<u8>>,
    /// What is in it.
    pub value: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

/// Where Kafka is, and as whom it is asked.
#[derive(Clone, Default)]
pub struct Kafka<'a> {
    /// `host:port`, several with commas.
    pub brokers: &'a str,
    /// Whether connections have TLS.
    pub tls: bool,
    /// `PLAIN` (also where it is empty), `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'a str,
    /// Empty: nobody in particular.
    pub username: &'a str,
    /// Of that user.
    pub password: &'a str,
}

impl std::fmt::Debug for Kafka<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("brokers", &self.brokers)
            .finish_non_exhaustive()
    }
}

/// Where a message came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaPlace {
    /// Of the topic.
    pub partition: i32,
    /// In the partition.
    pub offset: i64,
}

impl Vendors {
    /// `vendor.kafka(brokers, topic, messages, options)`: sends the messages and waits until all
    /// replicas in sync have them; where each lies, in their order.
    ///
    /// # Errors
    /// Brokers that can't be reached or are refused, a login that is not accepted, and what a
    /// broker answers (`UnknownTopicOrPartition`, `MessageTooLarge`).
    pub fn kafka(
        &self,
        to: &Kafka<'_>,
        topic: &str,
        messages: Vec<KafkaMessage>,
    ) -> Result<Vec<KafkaPlace>, Error> {
        let topic = topic.trim().to_owned();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=249).contains(&topic.len()) || !topic.bytes().all(fits) {
            return Err(Error::argument(
                CALL,
                "the topic's name is empty or can't be one",
            ));
        }
        let size: usize = messages.iter().map(KafkaMessage::size).sum();
        let most = self.http.limits.request;
        if size as u64 > most {
            return Err(too_large(CALL, "the messages together", size as u64, most));
        }
        let brokers = self.inner.kafka.as_deref().unwrap_or(to.brokers);
        let brokers = read_brokers(brokers)?;
        let login = login(to)?;
        let tls = match to.tls {
            true => Some(tls()?),
            false => None,
        };
        self.run(move |http| async move {
            let limit = http.limits.timeout;
            let cluster = Cluster { http, login, tls };
            let sent = cluster.send(&brokers, &topic, &messages);
            tokio::time::timeout(limit, sent)
                .await
                .unwrap_or_else(|_| Err(too_slow(CALL, "Kafka", limit)))
        })
    }
}

impl KafkaMessage {
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        self.key.as_ref().map_or(0, Vec::len)
            + self.value.len()
            + headers
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }

    fn record(&self, sequence: i64, timestamp: i64) -> Record {
        Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            timestamp_type: TimestampType::Creation,
            offset: sequence,
            sequence: NO_SEQUENCE,
            timestamp,
            key: self.key.clone().map(Bytes::from),
            value: Some(Bytes::from(self.value.clone())),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = Bytes::from(value.clone());
                    (StrBytes::from_string(name.clone()), Some(value))
                })
                .collect::<IndexMap<_, _>>(),
        }
    }
}

fn read_brokers(text: &str) -> Result<Vec<(String, u16)>, Error> {
    let wrong = |part: &str| {
        let part = part.escape_debug();
        Error::argument(CALL, format!("\"{part}\" is no broker; give HOST:PORT"))
    };
    let brokers = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (host, port) = match part.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().map_err(|_| wrong(part))?),
                None => (part, PORT),
            };
            if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
                return Err(wrong(part));
            }
            Ok((host.to_owned(), port))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if brokers.is_empty() {
        return Err(Error::argument(CALL, "no broker was given; give HOST:PORT"));
    }
    Ok(brokers)
}

/// How connections log in.
enum Login {
    Nobody,
    Plain {
        username: String,
        password: String,
    },
    Scram {
        hash: Hash,
        username: String,
        password: String,
    },
}

fn login(to: &Kafka<'_>) -> Result<Login, Error> {
    let (username, password) = (to.username.to_owned(), to.password.to_owned());
    let mechanism = to.mechanism.trim().to_ascii_uppercase();
    if username.is_empty() {
        return match mechanism.is_empty() && password.is_empty() {
            true => Ok(Login::Nobody),
            false => Err(Error::argument(
                CALL,
                "a mechanism or password is given, but no username",
            )),
        };
    }
    match mechanism.as_str() {
        "" | "PLAIN" => Ok(Login::Plain { username, password }),
        "SCRAM-SHA-256" => Ok(Login::Scram {
            hash: Hash::Sha256,
            username,
            password,
        }),
        "SCRAM-SHA-512" => Ok(Login::Scram {
            hash: Hash::Sha512,
            username,
            password,
        }),
        _ => Err(Error::argument(
            CALL,
            "the mechanism is not known; give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        )),
    }
}

fn tls() -> Result<TlsConnector, Error> {
    // the provider is this process's default one, which reqwest sets; ours where nothing did yet
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ClientConfig::with_platform_verifier()
        .map(|config| TlsConnector::from(Arc::new(config)))
        .map_err(|error| Error::new(CALL, ErrorKind::Other, error.to_string()))
}

/// Partition and leader of each message, by leader.
type Plan = BTreeMap<i32, BTreeMap<i32, Vec<usize>>>;

struct Cluster {
    http: Http,
    login: Login,
    tls: Option<TlsConnector>,
}

impl Cluster {
    async fn send(
        &self,
        bootstrap: &[(String, u16)],
        topic: &str,
        messages: &[KafkaMessage],
    ) -> Result<Vec<KafkaPlace>, Error> {
        let mut first = self.connect_to_any(bootstrap).await?;
        let metadata = first.metadata(topic).await?;
        let plan = plan(&metadata, messages)?;
        let mut places = vec![
            KafkaPlace {
                partition: 0,
                offset: -1
            };
            messages.len()
        ];
        for (leader, partitions) in &plan {
            let broker = metadata
                .brokers
                .iter()
                .find(|broker| *broker.node_id == *leader)
                .ok_or_else(|| broken("its leader is no broker of the cluster"))?;
            let port = u16::try_from(broker.port).map_err(|_| broken("a broker has no port"))?;
            let mut connection = self.connect(&broker.host, port).await?;
            let bases = connection.produce(topic, partitions, messages).await?;
            for (partition, indexes) in partitions {
                let base = bases.get(partition).copied().unwrap_or(-1);
                for (offset, index) in (base..).zip(indexes) {
                    if let Some(place) = places.get_mut(*index) {
                        *place = KafkaPlace {
                            partition: *partition,
                            offset,
                        };
                    }
                }
            }
        }
        Ok(places)
    }

    async fn connect_to_any(&self, brokers: &[(String, u16)]) -> Result<Connection, Error> {
        let mut last = Error::argument(CALL, "no broker was given");
        for (host, port) in brokers {
            match self.connect(host, *port).await {
                Ok(connection) => return Ok(connection),
                // another broker won't make up for these
                Err(error) if error.kind == ErrorKind::Credentials => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Connection, Error> {
        let place = format!("{host}:{port}");
        let doors = &self.http.doors;
        doors
            .check_host(host, port, &[])
            .map_err(|refusal| Error::new(CALL, ErrorKind::Refused, refusal.to_string()))?;
        let failed = |error: &std::io::Error| match refusal_in(error) {
            Some(refusal) => Error::new(CALL, ErrorKind::Refused, refusal.to_string()),
            None => {
                let why = format!("{place} can't be reached: {error}");
                Error::new(CALL, ErrorKind::Unreachable, why)
            }
        };
        let addresses = doors
            .resolve(host, port)
            .await
            .map_err(|error| failed(&error))?;
        let connecting = TcpStream::connect(addresses.as_slice());
        let limit = super::http::CONNECT_TIMEOUT;
        let stream = tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|error| failed(&error))?;
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| Error::argument(CALL, format!("{host} is no host's name")))?;
                let secured = tls.connect(name, stream).await;
                Box::new(secured.map_err(|error| failed(&error))?)
            }
        };
        let mut connection = Connection {
            stream,
            place,
            correlation: 0,
        };
        connection.log_in(&self.login).await?;
        Ok(connection)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    place: String,
    correlation: i32,
}

impl Connection {
    /// One request and its answer (a length, the header, the message).
    async fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, Error> {
        let place = self.place.clone();
        let broke = |why: &str| {
            Error::new(
                CALL,
                ErrorKind::Unreachable,
                format!("{place} gave no whole answer: {why}"),
            )
        };
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("gillnet")));
        let mut out = BytesMut::new();
        out.extend_from_slice(&[0; 4]);
        let encoded = encode_request_header_into_buffer(&mut out, &header)
            .and_then(|()| request.encode(&mut out, version));
        encoded.map_err(|error| Error::argument(CALL, error.to_string()))?;
        let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
        if let Some(head) = out.get_mut(..4) {
            head.copy_from_slice(&length.to_be_bytes());
        }
        let exchange = async {
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            let length = self.stream.read_u32().await? as usize;
            if length > MAX_ANSWER {
                return Err(std::io::Error::other(format!("it has {length} bytes")));
            }
            let mut answer = vec![0; length];
            self.stream.read_exact(&mut answer).await?;
            Ok(Bytes::from(answer))
        };
        let mut answer = exchange.await.map_err(|error| broke(&error.to_string()))?;
        let header = R::Response::header_version(version);
        let header =
            ResponseHeader::decode(&mut answer, header).map_err(|_| broke("it is not Kafka's"))?;
        if header.correlation_id != self.correlation {
            return Err(broke("it belongs to another request"));
        }
        let answer = R::Response::decode(&mut answer.chunk(), version);
        answer.map_err(|_| broke("it is not Kafka's"))
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Error> {
        match login {
            Login::Nobody => Ok(()),
            Login::Plain { username, password } => {
                self.handshake("PLAIN").await?;
                let said = format!("\0{username}\0{password}");
                self.authenticate(said.into(), password).await.map(|_| ())
            }
            Login::Scram {
                hash,
                username,
                password,
            } => {
                self.handshake(hash.mechanism()).await?;
                let nonce = format!("{:032x}", rand::random::<u128>());
                let scram = Scram::new(*hash, username, password, &nonce);
                let wrong = |why: &str| Error::new(CALL, ErrorKind::Credentials, why);
                let answer = self.authenticate(scram.first().into(), password).await?;
                let (last, signature) = scram.last(&answer).map_err(wrong)?;
                let answer = self.authenticate(last.into(), password).await?;
                signature.check(&answer).map_err(wrong)
            }
        }
    }

    async fn handshake(&mut self, mechanism: &'static str) -> Result<(), Error> {
        let request =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
        let answer = self.ask(&request, HANDSHAKE).await?;
        match answer.error_code.err() {
            None => Ok(()),
            Some(error) => {
                let known: Vec<&str> = answer.mechanisms.iter().map(|name| &**name).collect();
                let why = format!(
                    "{} takes no {mechanism} ({error}), but {}",
                    self.place,
                    known.join(", ")
                );
                Err(Error::new(CALL, ErrorKind::Credentials, why))
            }
        }
    }

    async fn authenticate(&mut self, said: Bytes, secret: &str) -> Result<Bytes, Error> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(said);
        let answer = self.ask(&request, AUTHENTICATE).await?;
        let Some(error) = answer.error_code.err() else {
            return Ok(answer.auth_bytes);
        };
        let detail = answer.error_message.as_deref().unwrap_or_default();
        let detail = excerpt(detail, &[secret]);
        let why = format!(
            "{} does not accept the login: {error}: {detail}",
            self.place
        );
        Err(Error::new(CALL, ErrorKind::Credentials, why))
    }

    /// The topic's partitions and the brokers that lead them; waits for a topic that is being made.
    async fn metadata(&mut self, topic: &str) -> Result<MetadataResponse, Error> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let asked = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let mut tries = 0;
        loop {
            let answer = self.ask(&request, METADATA).await?;
            let about = answer.topics.first();
            let about = about.ok_or_else(|| broken("no word about the topic"))?;
            let made = about
                .partitions
                .iter()
                .any(|partition| *partition.leader_id >= 0);
            match about.error_code.err() {
                None if made => return Ok(answer),
                None
                | Some(
                    ResponseError::LeaderNotAvailable | ResponseError::UnknownTopicOrPartition,
                ) if tries < 12 => {
                    tries += 1;
                    tokio::time::sleep(NO_LEADER_PAUSE).await;
                }
                None => return Err(broken("no partition of the topic has a leader")),
                Some(error) => return Err(broken(&format!("topic {topic}: {error}"))),
            }
        }
    }

    /// Sends messages to partitions that this broker leads: each partition's first offset.
    async fn produce(
        &mut self,
        topic: &str,
        partitions: &BTreeMap<i32, Vec<usize>>,
        messages: &[KafkaMessage],
    ) -> Result<BTreeMap<i32, i64>, Error> {
        let now = jiff::Timestamp::now().as_millisecond();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        let mut data = Vec::new();
        for (partition, indexes) in partitions {
            let records: Vec<Record> = (0..)
                .zip(indexes.iter().filter_map(|index| messages.get(*index)))
                .map(|(sequence, message)| message.record(sequence, now))
                .collect();
            let mut batch = BytesMut::new();
            RecordBatchEncoder::encode(&mut batch, &records, &options)
                .map_err(|error| Error::argument(CALL, error.to_string()))?;
            data.push(
                PartitionProduceData::default()
                    .with_index(*partition)
                    .with_records(Some(batch.freeze())),
            );
        }
        let topic_data = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(data);
        let request = ProduceRequest::default()
            .with_acks(ACKS_ALL)
            .with_timeout_ms(10_000)
            .with_topic_data(vec![topic_data]);
        let answer = self.ask(&request, PRODUCE).await?;
        let mut bases = BTreeMap::new();
        for told in answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
        {
            if let Some(error) = told.error_code.err() {
                return Err(broken(&format!(
                    "topic {topic}, partition {}: {error}",
                    told.index
                )));
            }
            bases.insert(told.index, told.base_offset);
        }
        Ok(bases)
    }
}

fn broken(why: &str) -> Error {
    Error::new(CALL, ErrorKind::Answer, why)
}

/// Where each message goes: by its key, else all to one partition by chance, as one batch.
fn plan(metadata: &MetadataResponse, messages: &[KafkaMessage]) -> Result<Plan, Error> {
    let topic = metadata.topics.first();
    let mut partitions: Vec<_> = topic
        .map_or(&[][..], |topic| &topic.partitions)
        .iter()
        .collect();
    partitions.sort_unstable_by_key(|partition| partition.partition_index);
    let led: Vec<_> = partitions
        .iter()
        .filter(|partition| *partition.leader_id >= 0)
        .collect();
    let at = |number: u32, count: usize| usize::try_from(number).unwrap_or(0) % count.max(1);
    let chance = led.get(at(rand::random(), led.len())).copied();
    let mut plan = Plan::new();
    for (index, message) in messages.iter().enumerate() {
        let partition = match &message.key {
            Some(key) => partitions.get(at(murmur2(key) & 0x7fff_ffff, partitions.len())),
            None => chance,
        };
        let partition = partition
            .filter(|partition| *partition.leader_id >= 0)
            .ok_or_else(|| broken("the partition has no leader"))?;
        plan.entry(*partition.leader_id)
            .or_default()
            .entry(partition.partition_index)
            .or_default()
            .push(index);
    }
    Ok(plan)
}

/// MurmurHash2 with the seed of Kafka's default partitioner.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let words = key.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut k = word
            .iter()
            .rev()
            .fold(0, |k: u32, byte| k << 8 | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest
            .iter()
            .rev()
            .fold(0, |k: u32, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_java() {
        // values of the test of Kafka's own Utils.murmur2
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash.cast_unsigned(), "{key}");
        }
    }

    #[test]
    fn brokers() {
        let read = |text: &str| read_brokers(text).map_err(|error| error.to_string());
        let two = vec![("a".to_owned(), 9092), ("b.c".to_owned(), 9093)];
        assert_eq!(read("a, b.c:9093").unwrap(), two);
        for text in ["", "a:b", ":1", "http://a"] {
            assert!(read(text).unwrap_err().contains("HOST:PORT"), "{text}");
        }
    }
}
