//! `chatgpt.prompt`: one question to OpenAI or what speaks like it.

use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{
    Error, ErrorKind, Vendors,
    http::{Request, url_of},
};

const CALL: &str = "chatgpt.prompt";
const HOSTS: &[&str] = &["api.openai.com"];
const API: &str = "https://api.openai.com/v1";
/// Small and cheap; another is given by the call.
const MODEL: &str = "gpt-4o-mini";
/// As many tokens as the original takes.
const MAX_TOKENS: u64 = 1024;

impl Vendors {
    /// `chatgpt.prompt(apiKey, prompt, maxTokens, model)`: the answer, trimmed. The endpoint is the
    /// base URL with its version (`https://api.openai.com/v1`).
    ///
    /// # Errors
    /// What the service answers, or an answer that is not in OpenAI's shape.
    pub fn chatgpt_prompt(
        &self,
        api_key: &str,
        prompt: &str,
        max_tokens: Option<u64>,
        model: Option<&str>,
    ) -> Result<String, Error> {
        let base = self.endpoint("chatgpt").map_or(API, |url| url.as_str());
        let base = base.trim_end_matches('/');
        let url = url_of(CALL, "endpoint", &format!("{base}/chat/completions"))?;
        let body = json!({
            "model": model.unwrap_or(MODEL),
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens.unwrap_or(MAX_TOKENS),
        });
        let request = Request::new(CALL, Method::POST, url)
            .own(HOSTS)
            .secret(api_key)
            .header(header::AUTHORIZATION, &format!("Bearer {api_key}"))?
            .body("application/json", body.to_string());
        let answer = self.run(move |http| async move { http.send_well(request).await })?;
        serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .as_ref()
            .and_then(|said| said.pointer("/choices/0/message/content")?.as_str())
            .map(|text| text.trim().to_owned())
            .ok_or_else(|| Error::new(CALL, ErrorKind::Answer, "the answer holds no message"))
    }
}
