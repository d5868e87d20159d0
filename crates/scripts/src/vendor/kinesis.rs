//! `vendor.kinesis`: one record into a stream of Amazon Kinesis.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use object_store::{aws::AwsAuthorizer, client::HttpRequest};
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    Error, ErrorKind, Vendors,
    http::{Request, too_large, url_of},
    s3::{AWS, S3Keys, no_credentials},
};

const CALL: &str = "vendor.kinesis.put";

impl Vendors {
    /// `vendor.kinesis.put(stream, payload, region, keyID, accessKey)`: the answer, with
    /// `SequenceNumber` and `ShardId`. Without a key the default credentials.
    ///
    /// # Errors
    /// A payload beyond its limit, credentials that can't be used, and what Kinesis answers.
    pub fn kinesis_put(
        &self,
        stream: &str,
        payload: &[u8],
        region: &str,
        key_id: &str,
        access_key: &str,
    ) -> Result<Value, Error> {
        if stream.trim().is_empty() {
            return Err(Error::argument(CALL, "no stream was given"));
        }
        let most = self.http.limits.kinesis_record;
        if payload.len() as u64 > most {
            return Err(too_large(CALL, "the record", payload.len() as u64, most));
        }
        let region = self.aws_region(CALL, region)?;
        let keys = S3Keys::of(CALL, key_id, access_key)?;
        let credentials = self.aws_credentials(CALL, &region, keys.as_ref())?;
        let url = match self.endpoint("kinesis") {
            Some(endpoint) => endpoint.clone(),
            None => {
                let host = format!(
                    "https://kinesis.{region}.{}/",
                    gillnet_bucket::aws_domain(&region)
                );
                url_of(CALL, "endpoint", &host)?
            }
        };
        let body = json!({
            "StreamName": stream.trim(),
            "Data": BASE64_STANDARD.encode(payload),
            // shards share the load by it
            "PartitionKey": format!("{:032x}", rand::random::<u128>()),
        })
        .to_string();
        self.run(move |mut http| async move {
            let credential = credentials
                .get_credential()
                .await
                .map_err(|error| no_credentials(CALL, &error))?;
            let mut signed = HttpRequest::new(body.clone().into());
            *signed.method_mut() = Method::POST;
            *signed.uri_mut() = url
                .as_str()
                .parse()
                .map_err(|_| Error::argument(CALL, "the endpoint is no URL"))?;
            for (name, value) in [
                ("x-amz-target", "Kinesis_20131202.PutRecord"),
                ("content-type", "application/x-amz-json-1.1"),
            ] {
                signed
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
            AwsAuthorizer::new(&credential, "kinesis", &region)
                .try_authorize(&mut signed, None)
                .map_err(|error| Error::new(CALL, ErrorKind::Credentials, error.to_string()))?;
            let mut request = Request::new(CALL, Method::POST, url)
                .own(AWS)
                .secret(&credential.secret_key)
                .secret(&credential.key_id);
            request.headers = std::mem::take(signed.headers_mut());
            // base64 makes more of the record
            http.limits.request = http.limits.request.max(body.len() as u64);
            let request = request.body("application/x-amz-json-1.1", body);
            let answer = http.send_well(request).await?;
            serde_json::from_slice(&answer.body)
                .map_err(|_| Error::new(CALL, ErrorKind::Answer, "the answer is no JSON"))
        })
    }
}
