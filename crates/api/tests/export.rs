//! `/api/export`: a file is sent while it is made, breaks off where it fails, and is not made for who has gone.

#![allow(clippy::unwrap_used)] // a test that cannot ask has failed

use gillnet_api::{
    Backend, Doors, EntryKey, ExportQuery, LiveStore, NoExport, NoStats, Outlet, Page, PageQuery,
    PcapFormat, Refused, Speech, StatsQuery, Status, StreamKey, Token,
};
use gillnet_kfl::{Env, Filter};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);
const PIECE: usize = 256 << 10;

/// Makes a file as its first column says.
struct Makes {
    told: Mutex<Sender<String>>,
    pieces: Arc<AtomicUsize>,
}

impl Makes {
    fn tell(&self, what: impl Into<String>) {
        self.told.lock().unwrap().send(what.into()).unwrap();
    }
}

impl Backend for Makes {
    fn status(&self) -> Status {
        Status::default()
    }

    fn speech(&self) -> Arc<Speech> {
        Arc::new(Speech {
            env: Env::new(&gillnet_protocols::env()),
            ..Speech::default()
        })
    }

    fn page(&self, _: &PageQuery) -> Result<Page, Refused> {
        Err(Refused("there are none".into()))
    }

    fn stats(&self, _: &StatsQuery) -> Result<Vec<u8>, NoStats> {
        Err(Refused("there are none".into()).into())
    }

    fn entry(&self, _: &EntryKey, _: &Filter) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn stream(&self, _: &StreamKey, _: PcapFormat) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn export(&self, query: &ExportQuery, mut out: Outlet) -> Result<(), NoExport> {
        let names: Vec<String> = query.streams.iter().map(StreamKey::name).collect();
        let origin = query.streams.first().and_then(|key| key.origin.clone());
        self.tell(format!(
            "{} {:?} {} {names:?} {origin:?} {}",
            query.filter.text(),
            (query.since, query.until),
            query.format,
            query.incomplete
        ));
        match query.columns.first().map(String::as_str) {
            Some("nothing") => return Err(NoExport::Nothing("nothing is there".into())),
            Some("wrong") => return Err(NoExport::Wrong("that is wrong".into())),
            Some("unreadable") => return Err(Refused("it can't be read".into()).into()),
            Some("breaks") => {
                out.write_all(&[b'x'; PIECE]).unwrap();
                return Err(Refused("the rest can't be read".into()).into());
            }
            Some("endless") => loop {
                if out.write_all(&[b'x'; PIECE]).is_err() {
                    assert!(query.gone.load(Ordering::Relaxed));
                    self.tell("gone");
                    return Ok(());
                }
                self.pieces.fetch_add(1, Ordering::Relaxed);
            },
            Some("waits") => {
                while !query.gone.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.tell("gone");
            }
            _ => {
                out.notes(vec!["half of it left".into()]);
                for piece in ["a", "b", "c"] {
                    out.write_all(piece.as_bytes()).unwrap();
                }
            }
        }
        Ok(())
    }

    fn live(&self) -> Option<&Arc<LiveStore>> {
        None
    }
}

struct Served {
    url: String,
    told: Receiver<String>,
    pieces: Arc<AtomicUsize>,
    client: reqwest::Client,
}

impl Served {
    async fn start() -> Served {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let doors = Doors {
            token: Token::own(TOKEN).unwrap(),
            hosts: Vec::new(),
        };
        let ((tell, told), pieces) = (channel(), Arc::default());
        let backend = Arc::new(Makes {
            told: Mutex::new(tell),
            pieces: Arc::clone(&pieces),
        });
        tokio::spawn(gillnet_api::serve(
            listener,
            backend,
            doors,
            std::future::pending(),
        ));
        Served {
            url: format!("http://{at}/api/export"),
            told,
            pieces,
            client: reqwest::Client::new(),
        }
    }

    fn ask(&self, query: &str) -> reqwest::RequestBuilder {
        let url = format!("{}?{query}", self.url);
        self.client.get(url).bearer_auth(TOKEN)
    }

    fn told(&self) -> String {
        self.told.recv_timeout(PATIENCE).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_named_and_says_what_it_does_not_have() {
    let served = Served::start().await;
    let query = "q=http&from=1970-01-01T00:00:05Z&to=6&format=har&stream=000000000007_udp.pcap&cluster=c&node=n&run=9f&incomplete=true";
    let answer = served.ask(query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"000000000007_udp.har\""
    );
    assert_eq!(header("gillnet-notes"), "[\"half of it left\"]");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(answer.text().await.unwrap(), "abc");
    assert_eq!(
        served.told(),
        r#"http (5000000000, 6) har ["000000000007_udp.pcap"] Some(["c", "n", "9f"]) true"#
    );
    let answer = served.ask("kfl=dns&format=pcapng&since=0").send().await;
    let name = answer.unwrap().headers()["content-disposition"].clone();
    assert_eq!(
        name,
        "attachment; filename=\"gillnet-1970-01-01T00-00-00Z.pcapng\""
    );
    assert!(served.told().starts_with("dns "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_strangers_stay_out() {
    let served = Served::start().await;
    for (query, status) in [
        ("format=zip", 400),
        ("", 400),
        ("format=pcap&q=http%20and", 400),
        ("format=pcap&from=x", 400),
        ("format=pcap&stream=..%2F1", 400),
        ("format=csv&columns=wrong", 400),
        ("format=csv&columns=nothing", 404),
        ("format=csv&columns=unreadable", 502),
    ] {
        let answer = served.ask(query).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("{\"error\":{"), "{query}: {text}");
    }
    let url = format!("{}?format=pcap", served.url);
    assert_eq!(served.client.get(&url).send().await.unwrap().status(), 401);
    for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        let asked = served.ask("format=pcap").header(name, value);
        assert_eq!(asked.send().await.unwrap().status(), 403, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_breaks_the_connection_off() {
    let served = Served::start().await;
    // it may break before the head has left
    if let Ok(answer) = served.ask("format=csv&columns=breaks").send().await {
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_holds_it_up_and_who_leaves_ends_it() {
    let served = Served::start().await;
    let answer = served
        .ask("format=csv&columns=endless")
        .send()
        .await
        .unwrap();
    served.told();
    // it goes on until what lies between is full, and no further
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = served.pieces.load(Ordering::Relaxed);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before * PIECE < 64 << 20, "{before} pieces are held");
    drop(answer);
    assert_eq!(served.told(), "gone");

    let leaves = tokio::spawn(served.ask("format=csv&columns=waits").send());
    served.told();
    leaves.abort();
    assert_eq!(served.told(), "gone");
}
