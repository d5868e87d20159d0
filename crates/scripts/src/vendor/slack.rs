//! `vendor.slack` and `vendor.slackBot`.

use bytes::Bytes;
use reqwest::{Method, Url, header};
use serde_json::{Map, Value, json};

use super::{
    Error, ErrorKind, Upload, Vendors,
    error::excerpt,
    http::{Http, Request, shown, too_large, url_of},
    objects::read,
    webhook::text,
};

const HOSTS: &[&str] = &[
    "slack.com",
    "*.slack.com",
    "slack-gov.com",
    "*.slack-gov.com",
];
const API: &str = "https://slack.com";

const WEBHOOK: &str = "vendor.slack";
const BOT: &str = "vendor.slackBot";

/// A message of `vendor.slackBot`.
#[derive(Debug, Default)]
pub struct SlackMessage<'a> {
    /// Above the attachment.
    pub pretext: &'a str,
    /// In the attachment.
    pub text: &'a str,
    /// Of its edge: `#FF0000`, `good`; a colour without `#` gets one.
    pub color: &'a str,
    /// Titles and values; `null` is left out.
    pub fields: Map<String, Value>,
    /// Files, each under the name that is shown.
    pub files: Vec<(String, Upload)>,
}

impl Vendors {
    /// `vendor.slack(webhookUrl, pretext, text, color)`: one message by an incoming webhook.
    ///
    /// # Errors
    /// A host that is refused, and anything but 2xx.
    pub fn slack(&self, webhook: &str, message: &SlackMessage<'_>) -> Result<(), Error> {
        let mut url = url_of(WEBHOOK, "webhook's URL", webhook)?;
        if let Some(endpoint) = self.endpoint("slack")
            && shown(&url).ends_with("slack.com")
        {
            url = below(WEBHOOK, endpoint, url.path())?;
        }
        let secret = url.path().to_owned();
        let body = json!({ "attachments": [attachment(message)] }).to_string();
        let request = Request::new(WEBHOOK, Method::POST, url)
            .own(HOSTS)
            .secret(&secret)
            .body("application/json; charset=utf-8", body);
        self.run(move |http| async move { http.send_well(request).await })
            .map(|_| ())
    }

    /// `vendor.slackBot(token, channel, pretext, text, color, fields, files)`: uploads the files,
    /// posts the message, and shares the files in its thread.
    ///
    /// # Errors
    /// A file that can't be read or is too large, and what Slack answers (`invalid_auth`,
    /// `channel_not_found`).
    pub fn slack_bot(
        &self,
        token: &str,
        channel: &str,
        message: SlackMessage<'_>,
    ) -> Result<(), Error> {
        if token.trim().is_empty() || channel.trim().is_empty() {
            return Err(Error::argument(
                BOT,
                "give a bot's token and a channel's id",
            ));
        }
        let attachment = attachment(&message);
        let base = match self.endpoint("slack") {
            Some(endpoint) => endpoint.clone(),
            None => url_of(BOT, "endpoint", API)?,
        };
        let api = Api {
            base,
            token: token.trim().to_owned(),
        };
        let channel = channel.trim().to_owned();
        let files = message.files;
        self.run(move |http| async move {
            let mut shared = Vec::new();
            for (title, upload) in files {
                let id = api.upload(&http, &title, upload).await?;
                shared.push(json!({"id": id, "title": title}));
            }
            let post = json!({"channel": channel, "attachments": [attachment]});
            let posted = api.json(&http, "chat.postMessage", &post).await?;
            if shared.is_empty() {
                return Ok(());
            }
            // sharing takes ids alone, posting takes names too: the answer has the id
            let channel = posted.get("channel").cloned().unwrap_or(channel.into());
            let mut share = json!({"files": shared, "channel_id": channel});
            if let Some(thread) = posted.get("ts").filter(|ts| ts.is_string()) {
                share["thread_ts"] = thread.clone();
            }
            api.json(&http, "files.completeUploadExternal", &share)
                .await
                .map(|_| ())
        })
    }
}

fn attachment(message: &SlackMessage<'_>) -> Value {
    let SlackMessage {
        pretext,
        text: body,
        color,
        fields,
        ..
    } = message;
    let hex = matches!(color.len(), 3 | 6) && color.bytes().all(|b| b.is_ascii_hexdigit());
    let color = if hex {
        format!("#{color}")
    } else {
        (*color).to_owned()
    };
    let now = jiff::Timestamp::now().to_string();
    let fields: Vec<Value> = fields
        .iter()
        .filter_map(|(title, value)| Some((title.as_str(), text(value)?)))
        .chain([("Timestamp", now)])
        .map(|(title, value)| json!({"title": title, "value": value, "short": false}))
        .collect();
    json!({"pretext": pretext, "text": body, "color": color, "fallback": body, "fields": fields})
}

/// A path below an endpoint.
fn below(call: &'static str, endpoint: &Url, path: &str) -> Result<Url, Error> {
    let base = endpoint.as_str().trim_end_matches('/');
    let base = base.strip_suffix("/api").unwrap_or(base);
    url_of(call, "endpoint", &format!("{base}{path}"))
}

/// Slack's Web API.
struct Api {
    base: Url,
    token: String,
}

impl Api {
    fn request(&self, method: &str) -> Result<Request, Error> {
        let url = below(BOT, &self.base, &format!("/api/{method}"))?;
        Request::new(BOT, Method::POST, url)
            .own(HOSTS)
            .secret(&self.token)
            .header(header::AUTHORIZATION, &format!("Bearer {}", self.token))
    }

    async fn json(&self, http: &Http, method: &str, body: &Value) -> Result<Value, Error> {
        let request = self
            .request(method)?
            .body("application/json; charset=utf-8", body.to_string());
        self.ask(http, method, request).await
    }

    /// Slack answers 200 to what it refuses, with `ok: false` and why.
    async fn ask(&self, http: &Http, method: &str, request: Request) -> Result<Value, Error> {
        let answer = http.send_well(request).await?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if said.get("ok") == Some(&Value::Bool(true)) {
            return Ok(said);
        }
        let why = said.get("error").and_then(Value::as_str);
        let why = why.unwrap_or("its answer is not Slack's");
        let why = format!("{method}: {}", excerpt(why, &[&self.token]));
        Err(Error::answer(BOT, answer.status.as_u16(), why))
    }

    /// Uploads a file that nobody sees yet: its id.
    async fn upload(&self, http: &Http, title: &str, upload: Upload) -> Result<String, Error> {
        let size = upload.size(BOT)?;
        if size > http.limits.request {
            return Err(too_large(BOT, &upload.name, size, http.limits.request));
        }
        let (bytes, _) = read(BOT, &upload.name, upload.content, size).await?;
        let mut form = url_of(BOT, "endpoint", "http://form/")?;
        form.query_pairs_mut()
            .append_pair("filename", title)
            .append_pair("length", &bytes.len().to_string());
        let form = form.query().unwrap_or_default().to_owned();
        let method = "files.getUploadURLExternal";
        let request = self
            .request(method)?
            .body("application/x-www-form-urlencoded", form);
        let place = self.ask(http, method, request).await?;
        let text = |key| place.get(key).and_then(Value::as_str);
        let (Some(url), Some(id)) = (text("upload_url"), text("file_id")) else {
            let why = format!("{method}: the answer has no upload_url and file_id");
            return Err(Error::new(BOT, ErrorKind::Answer, why));
        };
        let url = url_of(BOT, "upload's URL", url)?;
        let secret = url.path().to_owned();
        // the URL lets in by itself; the token is not for it
        let request = Request::new(BOT, Method::POST, url)
            .own(HOSTS)
            .secret(&secret)
            .body("application/octet-stream", Bytes::clone(&bytes));
        http.send_well(request).await?;
        Ok(id.to_owned())
    }
}
