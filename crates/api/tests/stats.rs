//! `/api/stats`: what is asked for reaches the backend, and who leaves is not worked for.

#![allow(clippy::unwrap_used)] // a test that cannot ask has failed

use gillnet_api::{
    Backend, Doors, EntryKey, LiveStore, NoStats, Page, PageQuery, PcapFormat, Refused, Speech,
    StatsQuery, Status, StreamKey, Token,
};
use gillnet_kfl::{Env, Filter};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);

/// Tells what it is asked; a question with a `top` is worked on until nobody waits for the answer.
struct Asked(Mutex<Sender<String>>);

impl Asked {
    fn tell(&self, what: String) {
        self.0.lock().unwrap().send(what).unwrap();
    }
}

impl Backend for Asked {
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

    fn stats(&self, query: &StatsQuery) -> Result<Vec<u8>, NoStats> {
        let (by, measures, filter) = (&query.by, &query.measures, query.filter.text());
        let within = (query.since, query.until);
        self.tell(format!(
            "{filter} {by:?} {:?} {measures:?} {within:?}",
            query.every
        ));
        if by.contains(&"nothing".into()) {
            return Err(NoStats::Wrong("there is nothing".into()));
        }
        if by.contains(&"slow".into()) {
            let news = query.news.as_ref().unwrap();
            (news.0)(b"{\"partial\":1}".to_vec());
            self.tell("first is told".into());
            std::thread::sleep(Duration::from_millis(50));
            (news.0)(b"{\"partial\":2}".to_vec());
        }
        if by.contains(&"fails".into()) {
            return Err(Refused("it ends here".into()).into());
        }
        while query.top.is_some() && !query.gone.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if query.top.is_some() {
            self.tell("gone".into());
        }
        match by.contains(&"slow".into()) {
            true => Ok(b"{\"last\":1}".to_vec()),
            false => Ok(b"{}".to_vec()),
        }
    }

    fn entry(&self, _: &EntryKey, _: &Filter) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn stream(&self, _: &StreamKey, _: PcapFormat) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn live(&self) -> Option<&Arc<LiveStore>> {
        None
    }
}

async fn serve() -> (String, Receiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let doors = Doors {
        token: Token::own(TOKEN).unwrap(),
        hosts: Vec::new(),
    };
    let (tell, told) = channel();
    let backend = Arc::new(Asked(Mutex::new(tell)));
    let never = std::future::pending();
    tokio::spawn(gillnet_api::serve(listener, backend, doors, never));
    (format!("http://{at}/api/stats"), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_reaches_the_backend_and_ends_with_its_client() {
    let (url, told) = serve().await;
    let client = reqwest::Client::new();
    let ask = |query: &str| client.get(format!("{url}?{query}")).bearer_auth(TOKEN);
    let query =
        "filter=http&by=dst.service,%20statusCode&every=1m&measures=count,p99&since=5&until=";
    let answer = ask(query).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap()),
        (200, "{}".into())
    );
    let asked = told.recv_timeout(PATIENCE).unwrap();
    let most = i64::MAX;
    assert_eq!(
        asked,
        format!(r#"http ["dst.service", "statusCode"] Some("1m") ["count", "p99"] (5, {most})"#)
    );
    for (wrong, status) in [
        ("by=nothing", 400),
        ("kfl=http%20and", 400),
        ("since=x", 400),
    ] {
        assert_eq!(ask(wrong).send().await.unwrap().status(), status, "{wrong}");
    }
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    assert!(told.recv_timeout(PATIENCE).unwrap().contains("nothing"));

    let leaves = tokio::spawn(ask("top=1").send());
    told.recv_timeout(PATIENCE).unwrap();
    leaves.abort();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_so_far_come_as_lines_before_the_last() {
    let (url, told) = serve().await;
    let client = reqwest::Client::new();
    let ask = |query: &str| {
        let asked = client.get(format!("{url}?{query}")).bearer_auth(TOKEN);
        asked.header("accept", "application/x-ndjson")
    };
    for (query, last) in [
        ("by=slow", r#"{"last":1}"#),
        ("by=slow,fails", r#"{"error":{"message":"it ends here"}}"#),
    ] {
        let mut answer = ask(query).send().await.unwrap();
        let first = answer.chunk().await.unwrap().unwrap();
        assert_eq!(first, &b"{\"partial\":1}\n"[..]);
        told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "first is told");
        let rest = answer.text().await.unwrap();
        assert_eq!(rest.lines().last(), Some(last), "{rest}");
    }
    assert_eq!(ask("by=fails").send().await.unwrap().status(), 502);
    let mut leaves = ask("by=slow&top=1").send().await.unwrap();
    leaves.chunk().await.unwrap().unwrap();
    drop(leaves);
    let mut told = told.iter();
    assert!(told.any(|what| what == "gone"));
}
