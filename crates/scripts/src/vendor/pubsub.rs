//! `vendor.pubsub`: one message to a topic of Google Cloud Pub/Sub.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, header};
use serde_json::{Map, Value, json};

use super::{
    Error, ErrorKind, Vendors,
    gcs::GOOGLE,
    http::{Request, url_of},
    objects,
    webhook::text,
};

const CALL: &str = "vendor.pubsub";
const API: &str = "https://pubsub.googleapis.com";

impl Vendors {
    /// `vendor.pubsub(topic, payload, key, attributes)`: the message's id. The topic is
    /// `projects/P/topics/T`, or `T` in the key's project.
    ///
    /// # Errors
    /// A key that can't be used, no credentials, and what Google answers.
    pub fn pubsub(
        &self,
        topic: &str,
        payload: &[u8],
        key: Option<&str>,
        attributes: &Map<String, Value>,
    ) -> Result<String, Error> {
        let topic = whole_topic(topic, key)?;
        let (store, _) = self.google(CALL, "unused", key)?;
        let base = self.endpoint("pubsub").map_or(API, |url| url.as_str());
        let base = base.trim_end_matches('/');
        let url = url_of(CALL, "endpoint", &format!("{base}/v1/{topic}:publish"))?;
        let attributes: Map<String, Value> = attributes
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?.into())))
            .collect();
        let mut message = json!({"data": BASE64_STANDARD.encode(payload)});
        if !attributes.is_empty() {
            message["attributes"] = attributes.into();
        }
        let body = json!({"messages": [message]}).to_string();
        let answer = self.run(move |http| async move {
            let token = store
                .credentials()
                .get_credential()
                .await
                .map_err(|error| objects::fault(CALL, "credentials of Google Cloud", &error))?;
            let mut request = Request::new(CALL, Method::POST, url)
                .own(GOOGLE)
                .secret(&token.bearer)
                .body("application/json", body);
            if !token.bearer.is_empty() {
                let value = format!("Bearer {}", token.bearer);
                request = request.header(header::AUTHORIZATION, &value)?;
            }
            http.send_well(request).await
        })?;
        serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .as_ref()
            .and_then(|said| said.pointer("/messageIds/0")?.as_str())
            .map(str::to_owned)
            .ok_or_else(|| Error::new(CALL, ErrorKind::Answer, "the answer names no message"))
    }
}

fn whole_topic(topic: &str, key: Option<&str>) -> Result<String, Error> {
    let topic = topic.trim().trim_matches('/');
    let fits = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~+:".contains(&b))
    };
    let parts: Vec<&str> = topic.split('/').collect();
    match parts.as_slice() {
        ["projects", project, "topics", name] if fits(project) && fits(name) => {
            Ok(topic.to_owned())
        }
        [name] if fits(name) => {
            let project = key
                .and_then(|key| serde_json::from_str::<Value>(key).ok())
                .and_then(|key| Some(key.get("project_id")?.as_str()?.to_owned()))
                .filter(|project| fits(project))
                .ok_or_else(|| {
                    Error::argument(
                        CALL,
                        "the key names no project; give projects/PROJECT/topics/TOPIC",
                    )
                })?;
            Ok(format!("projects/{project}/topics/{name}"))
        }
        _ => Err(Error::argument(
            CALL,
            "give the topic as TOPIC or projects/PROJECT/topics/TOPIC",
        )),
    }
}
