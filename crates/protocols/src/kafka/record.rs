//! A request and its response.

use crate::record::{Text, record};

record! {
    /// A request and its response.
    pub struct Kafka ("kafka")
    request {
        /// Number of the operation: 0 for Produce, 1 for Fetch.
        api_key: i16 = "request.apiKey", "kafka_api_key", Int;
        /// Name of the operation in capitals: `PRODUCE`, `FETCH`.
        api_key_name: &'static str = "request.apiKeyName", "kafka_api_key_name", Str;
        /// Version of the operation.
        api_version: i16 = "request.apiVersion", "", Int;
        /// What the client calls itself.
        client_id: Text = "request.clientID", "kafka_client_id", Str;
        /// Number that the response repeats.
        correlation_id: i32 = "request.correlationID", "", Int;
        /// Size of the request as its first four bytes say, without these.
        size: u32 = "request.size", "kafka_size", Int;
        /// What the request is about: its topics.
        topics: Text = "", "kafka_request_summary", Str;
    }
    response {}
    also {
        /// Whether a request was seen.
        "", "kafka_request", Bool, Entry => |r, _| r.sizes.has_request();
        /// Whether a response was seen.
        "", "kafka_response", Bool, Entry => |r, _| r.sizes.has_response();
        /// Bytes of the request.
        "", "kafka_request_size", Int, Entry => |r, _| r.sizes.request();
        /// Bytes of the response.
        "", "kafka_response_size", Int, Entry => |r, _| r.sizes.response();
    }
    shown |r, x| {
        info: &super::INFO,
        summary: r.topics.get(x),
        method: r.api_key_name,
        status: ("", None),
        ok: true,
    }
}
