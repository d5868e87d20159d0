//! Access tokens that others make: the metadata server of Google Cloud, and the gcloud program.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use super::failure::NoCredentials;
use object_store::{CredentialProvider, gcp::GcpCredential};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::Mutex,
    time::timeout,
};

/// Where the metadata server is on machines of Google Cloud, by name and by address.
const METADATA_HOSTS: [&str; 2] = ["metadata.google.internal", "169.254.169.254"];
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Where there is a metadata server it answers in milliseconds; where there is none nothing may.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// gcloud is a large Python program.
const GCLOUD_TIMEOUT: Duration = Duration::from_secs(10);
/// gcloud's tokens hold for an hour and it does not say since when; a new one is asked for earlier.
const GCLOUD_TTL: Duration = Duration::from_secs(5 * 60);
/// A token is renewed so long before its end. The metadata server has no newer one earlier.
const RENEW_BEFORE: Duration = Duration::from_secs(4 * 60);
/// The longest answer of either that is read, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Where tokens come from.
#[derive(Clone, Debug)]
enum Origin {
    /// The metadata server at this host.
    Metadata(String),
    /// This program.
    Gcloud(PathBuf),
}

/// A token and until when it may be used.
struct Token {
    credential: Arc<GcpCredential>,
    renew: Instant,
    end: Instant,
}

/// A source of tokens that keeps the last one until shortly before its end.
pub(crate) struct Tokens {
    origin: Origin,
    last: Mutex<Option<Token>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Asks for a first token: the metadata server, and gcloud beside it where a program is given. With
/// none: why each of them gave none.
pub(crate) async fn find(
    metadata_host: Option<&str>,
    gcloud: Option<PathBuf>,
) -> (Option<Tokens>, String) {
    let hosts = match metadata_host {
        Some(host) => vec![host.to_owned()],
        None => METADATA_HOSTS.map(str::to_owned).into(),
    };
    let asked = hosts.join(" and ");
    let metadata = first_token(hosts);
    let program = async {
        match gcloud {
            Some(program) => Some(
                gcloud_token(&program)
                    .await
                    .map(|token| (Origin::Gcloud(program), token)),
            ),
            None => None,
        }
    };
    tokio::pin!(metadata, program);
    // the metadata server goes first, and gcloud does not wait for it
    let mut early = None;
    let from_metadata = loop {
        tokio::select! {
            found = &mut metadata => break found,
            answer = &mut program, if early.is_none() => early = Some(answer),
        }
    };
    let found = |(origin, token)| {
        (
            Some(Tokens {
                origin,
                last: Mutex::new(Some(token)),
            }),
            String::new(),
        )
    };
    let mut why = match from_metadata {
        Ok(token) => return found(token),
        Err(error) => format!("no metadata server at {asked}: {error}"),
    };
    let from_gcloud = match early {
        Some(answer) => answer,
        None => program.await,
    };
    match from_gcloud {
        Some(Ok(token)) => return found(token),
        Some(Err(error)) => why.push_str(&format!("; gcloud auth print-access-token: {error}")),
        None => {}
    }
    (None, why)
}

/// The first of the hosts that gives a token.
async fn first_token(hosts: Vec<String>) -> Result<(Origin, Token), String> {
    let mut asked = tokio::task::JoinSet::new();
    for host in hosts {
        asked.spawn(async move {
            metadata_token(&host)
                .await
                .map(|token| (Origin::Metadata(host), token))
        });
    }
    let mut error = "there is none".to_owned();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(why)) => error = why,
            Err(_) => {}
        }
    }
    Err(error)
}

async fn metadata_token(host: &str) -> Result<Token, String> {
    match timeout(METADATA_TIMEOUT, ask_metadata(host)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", METADATA_TIMEOUT.as_secs())),
    }
}

/// One request in HTTP/1.0, whose answer ends with the connection. Made here and not with the
/// client of the store: the metadata server must never be asked through a proxy.
async fn ask_metadata(host: &str) -> Result<Token, String> {
    let address = if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(&address).await.map_err(failed)?;
    let request =
        format!("GET {METADATA_PATH} HTTP/1.0\r\nHost: {host}\r\nMetadata-Flavor: Google\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .await
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or("what answers there is no metadata server")?;
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!(
            "it answered {status}: this machine or pod has no service account"
        ));
    }
    let json: serde_json::Value = serde_json::from_str(body.trim())
        .map_err(|_| "what answers there is no metadata server")?;
    let bearer = json
        .get("access_token")
        .and_then(serde_json::Value::as_str)
        .ok_or("its answer has no access_token")?;
    let seconds = json
        .get("expires_in")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(300);
    let lifetime = Duration::from_secs(seconds.min(24 * 3600));
    Ok(token(
        bearer,
        lifetime,
        lifetime.saturating_sub(RENEW_BEFORE),
    ))
}

fn token(bearer: &str, lifetime: Duration, renew: Duration) -> Token {
    let now = Instant::now();
    Token {
        credential: Arc::new(GcpCredential {
            bearer: bearer.to_owned(),
        }),
        renew: now + renew,
        end: now + lifetime,
    }
}

async fn gcloud_token(program: &std::path::Path) -> Result<Token, String> {
    let run = Command::new(program)
        .args(["auth", "print-access-token", "--quiet"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(GCLOUD_TIMEOUT, run).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", GCLOUD_TIMEOUT.as_secs())),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("it failed and said nothing");
        return Err(line.chars().take(200).collect());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let bearer = said.trim();
    if bearer.is_empty() || bearer.contains(char::is_whitespace) {
        return Err("what it printed is no token".to_owned());
    }
    Ok(token(bearer, GCLOUD_TTL, GCLOUD_TTL))
}

impl Tokens {
    /// What messages call the account.
    pub(crate) fn account(&self) -> String {
        match &self.origin {
            Origin::Metadata(host) => format!("the service account of the metadata server {host}"),
            Origin::Gcloud(_) => "the account that gcloud is logged in with".to_owned(),
        }
    }

    async fn current(&self) -> object_store::Result<Arc<GcpCredential>> {
        let mut last = self.last.lock().await;
        let now = Instant::now();
        if let Some(token) = last.as_ref().filter(|token| now < token.renew) {
            return Ok(Arc::clone(&token.credential));
        }
        let renewed = match &self.origin {
            Origin::Metadata(host) => metadata_token(host).await,
            Origin::Gcloud(program) => gcloud_token(program).await,
        };
        match renewed {
            Ok(token) => Ok(Arc::clone(&last.insert(token).credential)),
            Err(error) => match last.as_ref().filter(|token| now < token.end) {
                Some(token) => Ok(Arc::clone(&token.credential)),
                None => Err(object_store::Error::Generic {
                    store: "GCS",
                    source: Box::new(NoCredentials(format!(
                        "{} gives no token: {error}",
                        self.account()
                    ))),
                }),
            },
        }
    }
}

impl CredentialProvider for Tokens {
    type Credential = GcpCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<GcpCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.current())
    }
}
