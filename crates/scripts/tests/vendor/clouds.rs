//! Kinesis, Pub/Sub, OTLP and OpenAI, each a sink that checks what it gets.

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use gillnet_scripts::vendor::{ErrorKind, Signal, Vendors};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value,
    metrics::v1::{metric, number_data_point},
};
use serde_json::{Map, Value, json};

use super::{
    config, emulators, map,
    sink::{Asked, Sink, reply},
    with_endpoint,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of AWS's version 4, computed from the request as it came.
fn signature(asked: &Asked, secret: &str, region: &str, service: &str) -> String {
    let authorization = asked.header("authorization");
    let signed = authorization
        .split("SignedHeaders=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    for name in ["host", "x-amz-date", "x-amz-target"] {
        assert!(signed.split(';').any(|its| its == name), "{signed}");
    }
    let headers: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", asked.header(name)))
        .collect();
    let body = hex(digest::digest(&digest::SHA256, &asked.body).as_ref());
    let canonical = format!(
        "{}\n{}\n\n{headers}\n{signed}\n{body}",
        asked.method,
        asked.path()
    );
    let time = asked.header("x-amz-date");
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&time[..8], region, service, "aws4_request", &text] {
        let with = hmac::Key::new(hmac::HMAC_SHA256, &key);
        key = hmac::sign(&with, part.as_bytes()).as_ref().to_vec();
    }
    hex(&key)
}

#[test]
fn kinesis_records_are_signed() {
    let sink = Sink::new(|asked| {
        let authorization = asked.header("authorization");
        let right = format!(
            "Signature={}",
            signature(asked, "hush-hush", "eu-west-1", "kinesis")
        );
        if !authorization.contains("Credential=AKTEST/") || !authorization.ends_with(&right) {
            return reply(400, "{\"__type\": \"InvalidSignatureException\"}");
        }
        assert_eq!(asked.header("x-amz-target"), "Kinesis_20131202.PutRecord");
        assert_eq!(asked.header("content-type"), "application/x-amz-json-1.1");
        match asked.json()["StreamName"].as_str() {
            Some("records") => reply(
                200,
                "{\"SequenceNumber\": \"49\", \"ShardId\": \"shardId-0\"}",
            ),
            _ => reply(
                400,
                "{\"__type\": \"ResourceNotFoundException\", \"message\": \"no such stream\"}",
            ),
        }
    });
    let vendors = with_endpoint("kinesis", &sink.url());
    let put = |stream: &str, secret: &str| {
        vendors.kinesis_put(
            stream,
            "{\"log\": \"é\"}".as_bytes(),
            "eu-west-1",
            "AKTEST",
            secret,
        )
    };
    let answer = put("records", "hush-hush").unwrap();
    assert_eq!(
        (&answer["SequenceNumber"], &answer["ShardId"]),
        (&json!("49"), &json!("shardId-0"))
    );
    let body = sink.one().json();
    assert_eq!(
        BASE64_STANDARD
            .decode(body["Data"].as_str().unwrap())
            .unwrap(),
        "{\"log\": \"é\"}".as_bytes()
    );
    assert!((1..=256).contains(&body["PartitionKey"].as_str().unwrap().len()));
    for (stream, secret, says) in [
        ("records", "wrong-secret", "InvalidSignatureException"),
        ("none", "hush-hush", "no such stream"),
    ] {
        let error = put(stream, secret).unwrap_err();
        assert_eq!(error.status, Some(400));
        let said = error.to_string();
        assert!(said.contains(says) && !said.contains(secret), "{said}");
    }
    let asked = sink.asked().len();
    let large = vec![b'x'; (1 << 20) + 1];
    let error = vendors
        .kinesis_put("records", &large, "eu-west-1", "AKTEST", "s")
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has 1048577 bytes; at most 1048576"),
        "{error}"
    );
    for (stream, region, id) in [
        ("", "eu-west-1", "AK"),
        ("s", "x.evil/", "AK"),
        ("s", "eu-west-1", ""),
    ] {
        assert_eq!(
            vendors
                .kinesis_put(stream, b"", region, id, "s")
                .unwrap_err()
                .kind,
            ErrorKind::Argument
        );
    }
    assert_eq!(sink.asked().len(), asked);
    // the largest record that is taken is longer in base64, and passes
    vendors
        .kinesis_put("records", &large[1..], "eu-west-1", "AKTEST", "hush-hush")
        .unwrap();
}

#[test]
fn pubsub_messages_carry_the_accounts_token() {
    let sink = Sink::new(|asked| {
        let token = asked
            .header("authorization")
            .strip_prefix("Bearer ")
            .unwrap();
        let claims = token.split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(claims["iss"], "script@test.iam.gserviceaccount.com");
        if asked.path().contains("/topics/events:") {
            reply(200, "{\"messageIds\": [\"17\"]}")
        } else {
            reply(
                404,
                "{\"error\": {\"code\": 404, \"message\": \"Resource not found\", \"status\": \"NOT_FOUND\"}}",
            )
        }
    });
    let vendors = with_endpoint("pubsub", &sink.url());
    let key = Some(emulators::gcs().key.as_str());
    let attributes = map(json!({"node": "n", "count": 3, "none": null}));
    assert_eq!(
        vendors
            .pubsub("events", b"pay\xffload", key, &attributes)
            .unwrap(),
        "17"
    );
    let asked = sink.one();
    assert_eq!(
        asked.target,
        "/v1/projects/gillnet-test/topics/events:publish"
    );
    assert_eq!(
        asked.json(),
        json!({"messages": [{
            "data": BASE64_STANDARD.encode(b"pay\xffload"),
            "attributes": {"node": "n", "count": "3"},
        }]})
    );
    vendors
        .pubsub("projects/other/topics/events", b"", key, &Map::new())
        .unwrap();
    assert_eq!(
        sink.asked()[1].target,
        "/v1/projects/other/topics/events:publish"
    );
    let error = vendors.pubsub("none", b"", key, &Map::new()).unwrap_err();
    assert_eq!(error.status, Some(404));
    assert!(error.to_string().contains("Resource not found"), "{error}");
    for (topic, key) in [
        ("a/b", key),
        ("", key),
        ("events", None),
        ("projects/x/topics/../y", key),
    ] {
        assert_eq!(
            vendors
                .pubsub(topic, b"", key, &Map::new())
                .unwrap_err()
                .kind,
            ErrorKind::Argument
        );
    }
}

fn otlp(
    vendors: &Vendors,
    url: &str,
    signal: &str,
    data: Value,
) -> Result<(), gillnet_scripts::vendor::Error> {
    let headers = map(json!({"x-api-key": "hush-hush"}));
    let resource = map(json!({"service.name": "shop", "shards": 3}));
    vendors.otlp(
        url,
        Signal::parse(signal).unwrap(),
        &data,
        &headers,
        &resource,
    )
}

#[test]
fn otlp_in_the_eyes_of_its_own_types() {
    let sink = Sink::saying(200, "{}");
    let mut config = config();
    config.env = map(json!({"OTLP": sink.url()}));
    let vendors = Vendors::new(config).unwrap();
    let (trace, span) = ("0123456789abcdef0123456789abcdef", "0123456789abcdef");

    let logs = json!([
        {"time": 1_700_000_000_123.5_f64, "severity": "warn", "body": {"a": [1, 2.5, null, true]}, "attributes": {"k": "v", "n": null}, "traceId": trace, "spanId": span},
        "plain",
    ]);
    otlp(&vendors, &sink.url(), "logs", logs).unwrap();
    let asked = sink.one();
    assert_eq!(
        (
            asked.path(),
            asked.header("content-type"),
            asked.header("x-api-key")
        ),
        ("/v1/logs", "application/json", "hush-hush")
    );
    let request: ExportLogsServiceRequest = serde_json::from_slice(&asked.body).unwrap();
    let resource = request.resource_logs[0].resource.as_ref().unwrap();
    let names: Vec<&str> = resource
        .attributes
        .iter()
        .map(|attribute| attribute.key.as_str())
        .collect();
    assert_eq!(names, ["service.name", "host.name", "shards"]);
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].time_unix_nano, 1_700_000_000_123_500_000);
    assert_eq!(
        (
            records[0].severity_number,
            records[0].severity_text.as_str()
        ),
        (13, "warn")
    );
    assert_eq!(hex(&records[0].trace_id), trace);
    assert_eq!(records[0].attributes.len(), 1);
    let Some(any_value::Value::KvlistValue(body)) = &records[0].body.as_ref().unwrap().value else {
        panic!("{records:?}")
    };
    let Some(any_value::Value::ArrayValue(list)) = &body.values[0].value.as_ref().unwrap().value
    else {
        panic!("{body:?}")
    };
    assert_eq!(list.values[0].value, Some(any_value::Value::IntValue(1)));
    assert_eq!(
        list.values[1].value,
        Some(any_value::Value::DoubleValue(2.5))
    );

    let metrics = json!([{"name": "latency", "value": 1.5, "unit": "ms"}, {"name": "count", "value": 3, "type": "sum"}]);
    otlp(
        &vendors,
        &format!("{}/v1/metrics", sink.url()),
        "metrics",
        metrics,
    )
    .unwrap();
    let asked = sink.asked()[1].clone();
    assert_eq!(asked.path(), "/v1/metrics");
    let request: ExportMetricsServiceRequest = serde_json::from_slice(&asked.body).unwrap();
    let made = &request.resource_metrics[0].scope_metrics[0].metrics;
    let Some(metric::Data::Gauge(gauge)) = &made[0].data else {
        panic!("{made:?}")
    };
    assert_eq!(
        (made[0].name.as_str(), made[0].unit.as_str()),
        ("latency", "ms")
    );
    assert_eq!(
        gauge.data_points[0].value,
        Some(number_data_point::Value::AsDouble(1.5))
    );
    let Some(metric::Data::Sum(sum)) = &made[1].data else {
        panic!("{made:?}")
    };
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));

    let spans = json!({"name": "GET /x", "start": 1000, "end": 1002.5, "kind": "server", "traceId": trace, "parentSpanId": span, "error": "500"});
    otlp(&vendors, &sink.url(), "traces", spans).unwrap();
    let asked = sink.asked()[2].clone();
    let request: ExportTraceServiceRequest = serde_json::from_slice(&asked.body).unwrap();
    let made = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(
        (asked.path(), made.name.as_str(), made.kind),
        ("/v1/traces", "GET /x", 2)
    );
    assert_eq!(
        (made.start_time_unix_nano, made.end_time_unix_nano),
        (1_000_000_000, 1_002_500_000)
    );
    assert_eq!(
        (
            hex(&made.trace_id).as_str(),
            hex(&made.parent_span_id).as_str(),
            made.span_id.len()
        ),
        (trace, span, 8)
    );
    assert_eq!(made.status.as_ref().unwrap().code, 2);

    // a whole request is sent as it is
    let whole = json!({"resourceLogs": [{"scopeLogs": []}]});
    otlp(&vendors, &sink.url(), "logs", whole.clone()).unwrap();
    assert_eq!(sink.asked()[3].json(), whole);

    for (signal, data, says) in [
        (
            "metrics",
            json!([{"name": "a", "value": 1}, {"name": "b", "value": "x"}]),
            "record 1: its value is no number",
        ),
        ("metrics", json!({"value": 1}), "record 0: it has no name"),
        (
            "metrics",
            json!({"name": "a", "value": 1, "type": "x"}),
            "neither gauge nor sum",
        ),
        ("traces", json!({"name": "a"}), "it has no start"),
        (
            "traces",
            json!({"name": "a", "start": 1, "traceId": "xyz"}),
            "hexadecimal",
        ),
        (
            "traces",
            json!({"name": "a", "start": "now"}),
            "milliseconds",
        ),
    ] {
        let error = otlp(&vendors, &sink.url(), signal, data).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(Signal::parse("spans").is_err());
    assert_eq!(sink.asked().len(), 4);
}

#[test]
fn collectors_that_refuse_a_part_are_heard() {
    let sink = Sink::saying(
        200,
        "{\"partialSuccess\": {\"rejectedLogRecords\": \"2\", \"errorMessage\": \"too old\"}}",
    );
    let vendors = with_endpoint("otlp", &sink.url());
    let error = otlp(&vendors, "", "logs", json!("x")).unwrap_err();
    assert!(
        error.to_string().contains("refused 2 of them: too old"),
        "{error}"
    );
    let sink = Sink::new(|asked| reply(403, asked.header("x-api-key")));
    let vendors = with_endpoint("otlp", &sink.url());
    let error = otlp(&vendors, "", "logs", json!("x")).unwrap_err();
    assert!(
        error.status == Some(403) && !error.to_string().contains("hush"),
        "{error}"
    );
}

#[test]
fn prompts() {
    let sink = Sink::new(|asked| {
        if asked.header("authorization") != "Bearer sk-hush" {
            return reply(
                401,
                "{\"error\": {\"message\": \"Incorrect API key provided: sk-wrong\"}}",
            );
        }
        reply(
            200,
            "{\"choices\": [{\"message\": {\"role\": \"assistant\", \"content\": \"\\n fine \\n\"}}]}",
        )
    });
    let vendors = with_endpoint("chatgpt", &format!("{}/v1/", sink.url()));
    assert_eq!(
        vendors
            .chatgpt_prompt("sk-hush", "How?", None, None)
            .unwrap(),
        "fine"
    );
    let asked = sink.one();
    assert_eq!(asked.path(), "/v1/chat/completions");
    let body = asked.json();
    assert_eq!(
        (&body["max_tokens"], &body["messages"][0]["content"]),
        (&json!(1024), &json!("How?"))
    );
    let error = vendors
        .chatgpt_prompt("sk-wrong", "How?", Some(5), Some("m"))
        .unwrap_err();
    assert!(
        error.status == Some(401) && !error.to_string().contains("sk-wrong"),
        "{error}"
    );
    assert_eq!(
        (
            sink.asked()[1].json()["model"].clone(),
            sink.asked()[1].json()["max_tokens"].clone()
        ),
        (json!("m"), json!(5))
    );
}
