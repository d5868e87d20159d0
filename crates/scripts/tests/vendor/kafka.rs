//! Kafka, in the eyes of librdkafka: the broker that it has for tests, and its consumer, which
//! checks the sums of every batch.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use gillnet_scripts::vendor::{ErrorKind, Kafka, KafkaMessage};
use serde_json::Value;

use super::{
    allowing,
    emulators::{start, wait_for},
};

/// kcat: a broker, and a consumer of one topic on it.
struct Kcat {
    process: Child,
    brokers: String,
    /// What was consumed: kcat's JSON.
    consumed: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Kcat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn consumer(topic: &str) -> Kcat {
    let mut process = start(Path::new("kcat"))
        .args([
            "-C",
            "-J",
            "-u",
            "-o",
            "beginning",
            "-t",
            topic,
            "-b",
            "127.0.0.1:1",
        ])
        .args(["-X", "test.mock.num.brokers=3", "-X", "check.crcs=true"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat must be there; `make test` installs it");
    let said = BufReader::new(process.stderr.take().unwrap());
    let brokers = Arc::new(Mutex::new(String::new()));
    let found = Arc::clone(&brokers);
    thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            if let Some((_, list)) = line.split_once("replaced with ") {
                *found.lock().unwrap() = list.trim().to_owned();
            }
        }
    });
    let consumed = Arc::new(Mutex::new(Vec::new()));
    let (kept, out) = (Arc::clone(&consumed), process.stdout.take().unwrap());
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            kept.lock()
                .unwrap()
                .push(serde_json::from_str(&line).unwrap());
        }
    });
    wait_for("kcat's broker", || !brokers.lock().unwrap().is_empty());
    let brokers = brokers.lock().unwrap().clone();
    Kcat {
        process,
        brokers,
        consumed,
    }
}

#[test]
fn messages_arrive_with_keys_and_headers() {
    let kcat = consumer("events");
    let vendors = allowing(&["127.0.0.1"]);
    let to = Kafka {
        brokers: &kcat.brokers,
        ..Kafka::default()
    };
    let message = |key: Option<&str>, value: &str| KafkaMessage {
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.as_bytes().to_vec(),
        headers: vec![("node".to_owned(), "n-1".to_owned())],
    };
    let messages = vec![
        message(Some("21"), "{\"a\": 1}"),
        message(None, "two, é"),
        message(Some("foobar"), "three"),
        message(Some("21"), ""),
    ];
    let places = vendors.kafka(&to, "events", messages.clone()).unwrap();
    assert_eq!(places.len(), 4);
    // as Java's default partitioner has it, on four partitions
    let partition = |hash: i32| (hash & 0x7fff_ffff) % 4;
    assert_eq!(places[0].partition, partition(-973_932_308));
    assert_eq!(places[2].partition, partition(-790_332_482));
    assert_eq!(places[3].partition, places[0].partition);
    assert!(places[3].offset > places[0].offset);
    wait_for("the messages", || kcat.consumed.lock().unwrap().len() == 4);
    let consumed = kcat.consumed.lock().unwrap().clone();
    for (message, place) in messages.iter().zip(&places) {
        let at =
            |got: &&Value| got["partition"] == place.partition && got["offset"] == place.offset;
        let got = consumed.iter().find(at).unwrap();
        assert_eq!(
            got["payload"].as_str().unwrap_or_default().as_bytes(),
            message.value
        );
        assert_eq!(
            got["key"].as_str().map(|key| key.as_bytes().to_vec()),
            message.key
        );
        assert_eq!(got["headers"], serde_json::json!(["node", "n-1"]));
        let stamp = got["ts"].as_i64().unwrap();
        assert!((jiff::Timestamp::now().as_millisecond() - stamp).abs() < 60_000);
    }
    assert!(vendors.kafka(&to, "events", Vec::new()).unwrap().is_empty());
}

#[test]
fn brokers_that_are_named_by_brokers_go_through_the_doors() {
    let kcat = consumer("events");
    let brokers: Vec<&str> = kcat.brokers.split(',').collect();
    assert_eq!(brokers.len(), 3);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut sent = 0;
    for first in brokers {
        // only one broker is allowed; the leaders of some partitions are others
        let vendors = allowing(&[first]);
        let to = Kafka {
            brokers: first,
            ..Kafka::default()
        };
        for key in keys {
            let message = KafkaMessage {
                key: Some(key.as_bytes().to_vec()),
                ..KafkaMessage::default()
            };
            match vendors.kafka(&to, "events", vec![message]) {
                Ok(_) => sent += 1,
                Err(error) => assert_eq!(error.kind, ErrorKind::Refused, "{error}"),
            }
        }
    }
    // each key has one leader
    assert_eq!(sent, keys.len());
}

#[test]
fn what_cannot_be_sent_is_said() {
    let vendors = allowing(&["127.0.0.1"]);
    let send = |brokers: &str, topic: &str, mechanism: &str| {
        let to = Kafka {
            brokers,
            mechanism,
            username: "u",
            password: "hush",
            ..Kafka::default()
        };
        vendors
            .kafka(&to, topic, vec![KafkaMessage::default()])
            .unwrap_err()
    };
    for (error, says) in [
        (send("", "t", ""), "no broker was given"),
        (send("127.0.0.1:x", "t", ""), "no broker"),
        (send("127.0.0.1:1", "a b", ""), "topic"),
        (send("127.0.0.1:1", "t", "GSSAPI"), "mechanism"),
        (send("127.0.0.1:1", "t", ""), "can't be reached"),
    ] {
        assert!(
            error.to_string().contains(says) && !error.to_string().contains("hush"),
            "{error}"
        );
    }
    let kcat = consumer("events");
    // this broker knows no login
    let error = send(&kcat.brokers, "events", "");
    assert!(!error.to_string().contains("hush"), "{error}");
}
