//! What speaks to a running Gillnet: its API, and its console.

use crate::cli::Shared;
use crate::exit;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Where a running Gillnet is.
#[derive(Args, Clone, Debug)]
pub struct Running {
    /// Address of the running Gillnet, as it printed it; a token in it is taken
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8899")]
    url: String,
    /// File that holds its token [default: GILLNET_TOKEN, then api.token of the configuration]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// How long to wait for a connection, and for an answer: a script that is changed may be waited for.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(60);
/// A console that is silent for so long is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(20);

/// Pauses between two tries to reach one that is away.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A running Gillnet.
pub struct Client {
    http: reqwest::Client,
    /// Its address, without a token.
    base: Url,
    token: Option<String>,
}

impl Client {
    /// Takes the address, and the token from where it is.
    pub fn new(shared: &Shared, running: &Running) -> anyhow::Result<Client> {
        let wrong = |why: String| {
            exit::usage(anyhow!(
                "--url {why}; give the address that gillnet printed, as http://127.0.0.1:8899"
            ))
        };
        let mut base =
            Url::parse(&running.url).map_err(|error| wrong(format!("is no address: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong("is none of http or https".to_owned()));
        }
        let in_url = base
            .query_pairs()
            .find_map(|(key, value)| (key == "token").then(|| value.into_owned()));
        base.set_query(None);
        base.set_fragment(None);
        let token = match (&running.token_file, in_url) {
            (Some(file), _) => Some(std::fs::read_to_string(file).map_err(|error| {
                exit::usage(anyhow!("the token file {}: {error}", file.display()))
            })?),
            (None, Some(token)) => Some(token),
            (None, None) => token_of_ones_own(shared)?,
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()?;
        Ok(Client {
            http,
            base,
            token: token.map(|token| token.trim().to_owned()),
        })
    }

    /// Asks, and gives the answer: JSON, or nothing.
    pub fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<String>,
    ) -> anyhow::Result<Value> {
        runtime()?.block_on(async {
            let mut request = self.request(method, path).timeout(ANSWER);
            if let Some(body) = body {
                request = request.body(body);
            }
            let answer = request
                .send()
                .await
                .map_err(|error| self.unanswered(error))?;
            let answer = self.allowed(answer).await?;
            let text = answer
                .text()
                .await
                .map_err(|error| self.unanswered(error))?;
            if text.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_str(&text).map_err(|_| self.stranger())
        })
    }

    /// Opens the console.
    pub async fn console(&self) -> anyhow::Result<Console> {
        let answer = tokio::time::timeout(ANSWER, self.upgrade()).await;
        let answer = answer
            .map_err(|_| exit::unreachable(anyhow!("{} does not answer", self.base)))?
            .map_err(|error| self.unanswered(error))?;
        self.upgraded(answer).await
    }

    /// Opens the console as soon as that can be: again and again until something answers. Then it may still refuse.
    pub async fn console_again(&self) -> anyhow::Result<Console> {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            let answer = tokio::time::timeout(ANSWER, self.upgrade()).await;
            // a proxy before one that is just away has such answers
            if let Ok(Ok(answer)) = answer
                && !answer.status().is_server_error()
            {
                return self.upgraded(answer).await;
            }
        }
    }

    async fn upgrade(&self) -> reqwest::Result<Response> {
        let request = self.request(Method::GET, &["scripts", "logs"]);
        let request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key());
        request.send().await
    }

    async fn upgraded(&self, answer: Response) -> anyhow::Result<Console> {
        let answer = self.allowed(answer).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.stranger());
        }
        let upgraded = answer.upgrade().await;
        let upgraded = upgraded.map_err(|error| self.unanswered(error))?;
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        Ok(Console {
            socket,
            asked: false,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// An answer that is none of a failure; else what it says.
    async fn allowed(&self, answer: Response) -> anyhow::Result<Response> {
        let status = answer.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let text = answer.text().await.unwrap_or_default();
        let said: Option<Value> = serde_json::from_str(&text).ok();
        let said = said
            .as_ref()
            .and_then(|said| said["error"]["message"].as_str());
        let Some(said) = said else {
            return Err(self.stranger());
        };
        match status {
            StatusCode::UNAUTHORIZED => Err(exit::unreachable(anyhow!(
                "{} needs its token: give the whole address that gillnet printed with --url, or --token-file, or set \
                 GILLNET_TOKEN",
                self.base
            ))),
            StatusCode::FORBIDDEN => Err(exit::unreachable(anyhow!("{}: {said}", self.base))),
            _ => bail!("{said}"),
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> anyhow::Error {
        let mut why: &dyn std::error::Error = &error;
        while let Some(deeper) = why.source() {
            why = deeper;
        }
        exit::unreachable(anyhow!(
            "no Gillnet answers at {}: {why}; is it running? --url gives its address",
            self.base
        ))
    }

    fn stranger(&self) -> anyhow::Error {
        exit::unreachable(anyhow!("what answers at {} is no Gillnet", self.base))
    }
}

/// The token of the environment or of the configuration.
fn token_of_ones_own(shared: &Shared) -> anyhow::Result<Option<String>> {
    if let Ok(token) = std::env::var("GILLNET_TOKEN")
        && !token.is_empty()
    {
        return Ok(Some(token));
    }
    let token = shared.config()?.0.api.token;
    let token = token.map(|token| token.read()).transpose();
    token.context("api.token of the configuration")
}

/// A runtime for what is asked.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("the network cannot be used")
}

/// The console of a running Gillnet.
pub struct Console {
    socket: WebSocketStream<reqwest::Upgraded>,
    /// Whether it was asked whether it is still there.
    asked: bool,
}

/// What the console says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line.
    Line(String),
    /// What follows was not kept, but is said now.
    Live,
    /// What was shown is to be cleared.
    Clear,
    /// So many lines were lost: they came too fast.
    Lost(u64),
}

impl Console {
    /// Waits for what is said; `None` where the connection broke.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let Ok(message) = tokio::time::timeout(SILENCE, self.socket.next()).await else {
                if self.asked {
                    return None;
                }
                self.asked = true;
                self.socket
                    .send(Message::Ping(Default::default()))
                    .await
                    .ok()?;
                continue;
            };
            self.asked = false;
            match message?.ok()? {
                Message::Text(text) => return Some(Heard::read(&text)),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }
}

impl Heard {
    /// Lines begin with `[`; all else is JSON.
    fn read(text: &str) -> Heard {
        let control: Option<Value> = match text.starts_with('{') {
            true => serde_json::from_str(text).ok(),
            false => None,
        };
        match control
            .as_ref()
            .and_then(|control| control["type"].as_str())
        {
            Some("live") => Heard::Live,
            Some("clear") => Heard::Clear,
            Some("lost") => {
                let lines = control
                    .as_ref()
                    .and_then(|control| control["lines"].as_u64());
                Heard::Lost(lines.unwrap_or(0))
            }
            _ => Heard::Line(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn client(url: &str) -> anyhow::Result<Client> {
        let shared = Cli::parse_from(["gillnet", "scripts", "types"]).shared;
        let running = Running {
            url: url.to_owned(),
            token_file: None,
        };
        Client::new(&shared, &running)
    }

    #[test]
    fn addresses_are_taken_as_they_were_printed() {
        for (url, asked) in [
            (
                "http://127.0.0.1:8899/?token=0123456789abcdef",
                "http://127.0.0.1:8899/api/scripts/jobs/a%2Fb",
            ),
            (
                "https://host/gillnet/?token=0123456789abcdef#x",
                "https://host/gillnet/api/scripts/jobs/a%2Fb",
            ),
            (
                "http://[::1]:1?token=0123456789abcdef",
                "http://[::1]:1/api/scripts/jobs/a%2Fb",
            ),
        ] {
            let client = client(url).unwrap();
            let request = client.request(Method::GET, &["scripts", "jobs", "a/b"]);
            let request = request.build().unwrap();
            assert_eq!(request.url().as_str(), asked);
            assert_eq!(
                request.headers()["authorization"],
                "Bearer 0123456789abcdef"
            );
        }
        for wrong in ["", "localhost:8899", "ftp://host/", "http://"] {
            assert!(client(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_line_is_told_from_lines() {
        for (text, heard) in [
            ("[node-0] {}", Heard::Line("[node-0] {}".into())),
            (r#"{"type":"live"}"#, Heard::Live),
            (r#"{"type":"clear"}"#, Heard::Clear),
            (r#"{"type":"lost","lines":7}"#, Heard::Lost(7)),
            ("{", Heard::Line("{".into())),
        ] {
            assert_eq!(Heard::read(text), heard);
        }
    }
}
