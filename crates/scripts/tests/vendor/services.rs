//! Webhooks, Slack, InfluxDB and Elasticsearch, each a sink that checks what it gets.

use std::collections::BTreeMap;

use gillnet_scripts::vendor::{Elastic, ErrorKind, Influx, SlackMessage};
use influxdb_line_protocol::{FieldValue, parse_lines};
use serde_json::{Map, Value, json};

use super::{
    allowing, bytes, file, map,
    sink::{Asked, Sink, reply},
    with_endpoint,
};

#[test]
fn webhooks() {
    let sink =
        Sink::new(|asked| reply(if asked.method == "PUT" { 500 } else { 200 }, "{\"ok\": 1}"));
    let vendors = allowing(&["127.0.0.1"]);
    let headers =
        map(json!({"X-Token": "t", "X-Number": 5, "Content-Length": "99", "X-None": null}));
    let url = format!("{}/hook?a=1", sink.url());
    // what the answer says is given, whatever its status
    assert_eq!(
        vendors
            .webhook("put", &url, "{\"a\": 1}", &headers)
            .unwrap(),
        "{\"ok\": 1}"
    );
    let asked = sink.one();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("PUT", "/hook?a=1")
    );
    assert_eq!(asked.json(), json!({"a": 1}));
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(
        (asked.header("x-token"), asked.header("x-number")),
        ("t", "5")
    );
    assert_eq!(asked.header("content-length"), "8");

    vendors
        .webhook(
            "POST",
            &url,
            "plain",
            &map(json!({"content-type": "text/csv"})),
        )
        .unwrap();
    vendors.webhook("POST", &url, "plain", &Map::new()).unwrap();
    vendors.webhook("GET", &url, "", &Map::new()).unwrap();
    let asked = sink.asked();
    assert_eq!(asked[1].header("content-type"), "text/csv");
    assert_eq!(asked[2].header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(
        (asked[3].header("content-type"), asked[3].body.len()),
        ("", 0)
    );
}

/// The parts of a form, as a parser of another's reads them.
fn parts(asked: &Asked) -> BTreeMap<String, String> {
    let boundary = multer::parse_boundary(asked.header("content-type")).unwrap();
    let body = bytes::Bytes::from(asked.body.clone());
    let stream = futures_stream(body);
    let mut form = multer::Multipart::new(stream, boundary);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut parts = BTreeMap::new();
        while let Some(part) = form.next_field().await.unwrap() {
            let name = part.name().unwrap().to_owned();
            parts.insert(name, part.text().await.unwrap());
        }
        parts
    })
}

/// One chunk as a stream.
fn futures_stream(
    body: bytes::Bytes,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send {
    futures_util::stream::iter([Ok(body)])
}

#[test]
fn forms_have_their_fields() {
    let sink = Sink::saying(200, "{\"file\": \"/x\"}");
    let vendors = allowing(&["127.0.0.1"]);
    let har = "{\"log\": \"line\r\nbreak --x é\"}";
    let form = map(
        json!({"fileContents": har, "apikey": "k", "fileName": "a.har", "n": 5, "none": null, "odd\"\n": "x"}),
    );
    let said = vendors.webhook_form("POST", &sink.url(), &form).unwrap();
    assert_eq!(said, "{\"file\": \"/x\"}");
    let parts = parts(&sink.one());
    assert_eq!(parts.len(), 5);
    assert_eq!(
        (
            parts["fileContents"].as_str(),
            parts["apikey"].as_str(),
            parts["n"].as_str()
        ),
        (har, "k", "5")
    );
}

#[test]
fn slack_webhooks() {
    let sink = Sink::new(|asked| {
        let about = &asked.json()["attachments"][0];
        let whole = ["pretext", "text", "color"]
            .iter()
            .all(|key| about[key].is_string());
        if whole && asked.path() == "/services/T/B/hush" {
            reply(200, "ok")
        } else {
            reply(404, "no_team")
        }
    });
    // the published URL of a webhook, sent where the configuration says
    let vendors = with_endpoint("slack", &sink.url());
    let message = SlackMessage {
        pretext: "p",
        text: "t",
        color: "#ff0000",
        ..Default::default()
    };
    vendors
        .slack("https://hooks.slack.com/services/T/B/hush", &message)
        .unwrap();
    let about = &sink.one().json()["attachments"][0];
    assert_eq!(
        (&about["pretext"], &about["text"], &about["color"]),
        (&json!("p"), &json!("t"), &json!("#ff0000"))
    );
    assert_eq!(about["fields"][0]["title"], "Timestamp");
    let stamp = about["fields"][0]["value"].as_str().unwrap();
    assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
    let error = vendors
        .slack("https://hooks.slack.com/services/T/B/other", &message)
        .unwrap_err();
    assert_eq!(error.status, Some(404));
    let said = error.to_string();
    assert!(
        said.contains("no_team") && !said.contains("services"),
        "{said}"
    );
}

/// Slack's API as far as bots need it: says no where a call is not as Slack wants it.
fn slack() -> Sink {
    Sink::new(|asked| {
        let no = |why: &str| reply(200, &json!({"ok": false, "error": why}).to_string());
        let json_body = asked.header("content-type").starts_with("application/json");
        match asked.path() {
            path if path.starts_with("/upload/") => {
                assert_eq!(asked.header("authorization"), "");
                reply(200, &format!("OK - {}", asked.body.len()))
            }
            _ if asked.header("authorization") != "Bearer xoxb-hush" => no("invalid_auth"),
            "/api/files.getUploadURLExternal" => {
                assert_eq!(
                    asked.header("content-type"),
                    "application/x-www-form-urlencoded"
                );
                let text = asked.text();
                assert!(
                    text.contains("filename=") && text.contains("&length="),
                    "{text}"
                );
                let id = if text.contains("data.json") {
                    "F2"
                } else {
                    "F1"
                };
                let url = format!("http://{}/upload/{id}", asked.header("host"));
                reply(
                    200,
                    &json!({"ok": true, "upload_url": url, "file_id": id}).to_string(),
                )
            }
            "/api/chat.postMessage" if json_body => match asked.json()["channel"].as_str() {
                Some("general") => {
                    reply(200, "{\"ok\": true, \"channel\": \"C1\", \"ts\": \"17.5\"}")
                }
                _ => no("channel_not_found"),
            },
            "/api/files.completeUploadExternal" if json_body => reply(200, "{\"ok\": true}"),
            _ => no("unknown_method"),
        }
    })
}

#[test]
fn slack_bots_share_files() {
    let sink = slack();
    let vendors = with_endpoint("slack", &sink.url());
    let message = || SlackMessage {
        pretext: "Server error",
        text: "in the cluster",
        color: "FF0000",
        fields: map(json!({"Service": "shop", "Node": null, "Count": 3})),
        files: vec![
            (
                "stream.pcap".to_owned(),
                file("pcaps/1.pcap", b"\x00\xffpackets"),
            ),
            (
                "data & more.json data.json".to_owned(),
                bytes("data.json", "{}"),
            ),
        ],
    };
    vendors
        .slack_bot("xoxb-hush", "general", message())
        .unwrap();
    let asked = sink.asked();
    let paths: Vec<&str> = asked.iter().map(Asked::path).collect();
    assert_eq!(
        paths,
        [
            "/api/files.getUploadURLExternal",
            "/upload/F1",
            "/api/files.getUploadURLExternal",
            "/upload/F2",
            "/api/chat.postMessage",
            "/api/files.completeUploadExternal",
        ]
    );
    assert_eq!(asked[0].text(), "filename=stream.pcap&length=9");
    assert_eq!(asked[1].body, b"\x00\xffpackets");
    assert_eq!(
        asked[2].text(),
        "filename=data+%26+more.json+data.json&length=2"
    );
    let about = &asked[4].json()["attachments"][0];
    assert_eq!(about["color"], "#FF0000");
    let titles: Vec<&Value> = about["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["title"])
        .collect();
    assert_eq!(titles, ["Service", "Count", "Timestamp"]);
    assert_eq!(about["fields"][1]["value"], "3");
    assert_eq!(
        asked[5].json(),
        json!({
            "channel_id": "C1",
            "thread_ts": "17.5",
            "files": [{"id": "F1", "title": "stream.pcap"}, {"id": "F2", "title": "data & more.json data.json"}],
        })
    );

    for (token, channel, says) in [
        (
            "xoxb-wrong",
            "general",
            "files.getUploadURLExternal: invalid_auth",
        ),
        (
            "xoxb-hush",
            "nowhere",
            "chat.postMessage: channel_not_found",
        ),
        ("", "general", "give a bot's token"),
    ] {
        let error = vendors.slack_bot(token, channel, message()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(says) && !said.contains("xoxb"), "{said}");
    }
}

#[test]
fn influxdb_points_in_its_own_parsers_eyes() {
    let sink = Sink::new(|asked| {
        let good = asked.header("authorization") == "Token tok" && asked.path() == "/api/v2/write";
        if good {
            reply(204, "")
        } else {
            reply(
                401,
                "{\"code\":\"unauthorized\",\"message\":\"unauthorized access\"}",
            )
        }
    });
    let vendors = allowing(&["127.0.0.1"]);
    let url = format!("{}/", sink.url());
    let to = Influx {
        url: &url,
        token: "tok",
        org: "my org",
        bucket: "b&c",
    };
    let fields = map(
        json!({"latency": 12, "part": 0.5, "ok": true, "path, \"x\" =": "a \\ \"b\"\nc", "none": null}),
    );
    let tags = map(json!({"src, x": "a=b c", "dst": "näme\\", "none": null, "empty": ""}));
    vendors
        .influxdb(to, "Status Codes,x", &fields, &tags)
        .unwrap();
    let asked = sink.one();
    assert_eq!(
        asked.target,
        "/api/v2/write?org=my+org&bucket=b%26c&precision=ns"
    );
    let text = asked.text();
    let lines: Vec<_> = parse_lines(&text).collect::<Result<_, _>>().unwrap();
    assert_eq!(lines.len(), 1, "{text}");
    let line = &lines[0];
    assert_eq!(line.series.measurement.as_str(), "Status Codes,x");
    let tags: Vec<(String, String)> = line
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    assert_eq!(
        tags,
        [
            ("dst".to_owned(), "näme".to_owned()),
            ("src, x".to_owned(), "a=b c".to_owned())
        ]
    );
    let field = |name: &str| line.field_value(name).cloned().unwrap();
    assert_eq!(field("latency"), FieldValue::F64(12.0));
    assert_eq!(field("part"), FieldValue::F64(0.5));
    assert_eq!(field("ok"), FieldValue::Boolean(true));
    assert_eq!(
        field("path, \"x\" ="),
        FieldValue::String("a \\ \"b\"\nc".into())
    );
    assert_eq!(line.field_set.len(), 4);
    let stamp = line.timestamp.unwrap();
    let now = jiff::Timestamp::now().as_nanosecond() as i64;
    assert!((now - stamp).abs() < 60_000_000_000);

    let error = vendors
        .influxdb(
            Influx {
                token: "wrong",
                ..to
            },
            "m",
            &fields,
            &Map::new(),
        )
        .unwrap_err();
    assert_eq!(error.status, Some(401));
    assert!(error.to_string().contains("unauthorized access"), "{error}");
    let error = vendors
        .influxdb(to, "m", &Map::new(), &Map::new())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Argument);
}

#[test]
fn elastic_documents() {
    let sink = Sink::new(|asked| {
        let known = ["ApiKey aTpr", "Basic dTpw", "Bearer svc"];
        if known.contains(&asked.header("authorization")) {
            reply(201, "{\"result\": \"created\"}")
        } else {
            reply(
                401,
                "{\"error\": {\"type\": \"security_exception\"}, \"status\": 401}",
            )
        }
    });
    let vendors = allowing(&["127.0.0.1"]);
    let url = format!("{}/", sink.url());
    let to = Elastic {
        url: &url,
        ..Elastic::default()
    };
    let document = json!({"200": 5, "500": 1});
    let ids: Vec<String> = [
        Elastic {
            api_key: "i:k",
            ..to
        },
        Elastic {
            username: "u",
            password: "p",
            ..to
        },
        Elastic {
            service_token: "svc",
            ..to
        },
    ]
    .into_iter()
    .map(|to| vendors.elastic(to, "my index", &document).unwrap())
    .collect();
    for (id, asked) in ids.iter().zip(sink.asked()) {
        assert_eq!(asked.method, "PUT");
        assert_eq!(asked.target, format!("/my%20index/_doc/{id}?refresh=true"));
        assert_eq!(asked.header("content-type"), "application/json");
        assert_eq!(asked.json(), document);
        assert_eq!(id.len(), 36);
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    let error = vendors
        .elastic(
            Elastic {
                password: "hush",
                username: "x",
                ..to
            },
            "i",
            &document,
        )
        .unwrap_err();
    assert_eq!(error.status, Some(401));
    assert!(
        error.to_string().contains("security_exception") && !error.to_string().contains("hush"),
        "{error}"
    );
    // Elastic Cloud, sent where the configuration says
    let cloud = with_endpoint("elastic", &sink.url());
    let to = Elastic {
        cloud_id: "us:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbyRhYmMkZGVm",
        api_key: "aTpr",
        ..Elastic::default()
    };
    cloud.elastic(to, "i", &document).unwrap();
    for (to, says) in [
        (
            Elastic {
                cloud_id: "x",
                ..to
            },
            "cloud id",
        ),
        (Elastic { cloud_id: "", ..to }, "no URL was given"),
        (
            Elastic {
                url: &url,
                cloud_id: "",
                cert_fingerprint: "zz",
                ..to
            },
            "fingerprint",
        ),
    ] {
        let error = vendors.elastic(to, "i", &document).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
