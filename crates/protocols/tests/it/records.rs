//! Each record is filled, and each of its fields read back through filters in both spellings and through JSON.

use crate::spoken::Scene;
use gillnet_entry::{Part, Record, Value, json};
use gillnet_kfl::{Lang, Outcome};
use gillnet_protocols::http1::{Form, Http};
use gillnet_protocols::{Raw, Sizes, Text};
use gillnet_protocols::{
    amqp, conn, diameter, flow, icmp, kafka, ldap, mongodb, mysql, postgresql, radius, redis, sctp,
    tcp, tls, udp, ws,
};

const SIZES: Sizes = Sizes {
    request: Some(10),
    response: Some(20),
};

fn text(text: &str) -> Text {
    Text(Part::Own(text.as_bytes().into()))
}

fn eval(record: &dyn Record, text: &str, lang: Lang) -> bool {
    Scene::bare().eval(record, text, lang) == Outcome::True
}

fn as_json(record: &dyn Record) -> String {
    Scene::bare().with(record, |entry| {
        let mut out = Vec::new();
        json::write_entry(entry, &mut out);
        String::from_utf8(out).unwrap()
    })
}

/// Checks that all lines hold, and that they speak of every field of the record: `name == value` in KFL2, then in KFL1.
fn check(record: &dyn Record, flags: &[&str], kfl2: &[&str], kfl1: &[&str]) {
    for (lang, lines) in [(Lang::Kfl2, kfl2), (Lang::Kfl1, kfl1)] {
        for line in lines {
            assert!(eval(record, line, lang), "{line}: {}", as_json(record));
        }
        for flag in flags {
            assert!(eval(record, flag, lang), "{flag}");
            assert!(record.info().flags.contains(flag), "{flag}");
        }
    }
    assert_eq!(record.info().flags.len(), flags.len());
    let named = |lines: &[&str], name: &str| {
        lines.iter().any(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([' ', '[', '.']))
        })
    };
    for field in record.schema().fields {
        let whole = matches!(field.json, "request" | "response" | "");
        assert!(
            field.kfl2.is_empty() || named(kfl2, field.kfl2),
            "{}",
            field.kfl2
        );
        assert!(whole || named(kfl1, field.json), "{}", field.json);
    }
    let json = as_json(record);
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed.to_string(), json, "no key stands there twice");
    check_columns(record);
}

/// A field that is said to have the value of another has it, and a field that is said to be shown by a list is.
fn check_columns(record: &dyn Record) {
    let schema = record.schema();
    Scene::bare().with(record, |entry| {
        let get = |path: &str| {
            let at = schema.json(path).expect("a field that is named is there");
            assert!(schema.fields[usize::from(at)].has_own_column(), "{path}");
            (at, record.get(at, &entry.ctx))
        };
        for (at, field) in (0..).zip(schema.fields) {
            if !field.same_as.is_empty() {
                let (other, value) = get(field.same_as);
                assert!(other < at && field.is_column(), "{}", field.json);
                assert_eq!(record.get(at, &entry.ctx), value, "{}", field.json);
            }
        }
        let shown = record.shown(&entry.ctx);
        let by = schema.shown;
        for (path, shown) in [(by.summary, shown.summary), (by.method, shown.method)] {
            if !path.is_empty() {
                let value = match shown {
                    "" => Value::Missing,
                    shown => Value::Str(shown),
                };
                assert_eq!(get(path).1, value, "{path}");
            }
        }
    });
}

/// Without its messages an exchange has null for both, and the defaults of KFL2.
fn check_empty(record: &dyn Record) {
    let json = as_json(record);
    assert!(
        json.ends_with("\"request\":null,\"response\":null}"),
        "{json}"
    );
    assert!(eval(
        record,
        "request == nil and response == nil",
        Lang::Kfl1
    ));
    check_columns(record);
}

const REQUEST: &str = "POST /pkg.Svc/Say?q=1 HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\ngrpc-status: 5\r\nSet-Cookie: c=d\r\nLocation: /l\r\nContent-Type: t\r\n\r\n";

fn http(form: Form) -> Http {
    let head = |text: &str| Some(text.as_bytes().to_vec());
    Http::decoded(form, head(REQUEST), head(RESPONSE)).unwrap()
}

#[test]
fn all_forms_of_http_have_its_fields() {
    let forms: [(Form, &[&str], &str, &str, &str); 5] = [
        (Form::Http1, &["http"], "HTTP", "HTTP/1.1", ""),
        (Form::Http2, &["http", "http2"], "HTTP/2", "HTTP/2", ""),
        (
            Form::Grpc,
            &["http", "http2", "grpc"],
            "gRPC",
            "HTTP/2",
            "Say",
        ),
        (
            Form::GqlV1,
            &["http", "gql", "gqlv1"],
            "GQL",
            "HTTP/1.1",
            "",
        ),
        (
            Form::GqlV2,
            &["http", "http2", "gql", "gqlv2"],
            "GQL",
            "HTTP/2",
            "",
        ),
    ];
    for (form, flags, abbr, version, grpc) in forms {
        let record = http(form);
        let size =
            |names: [&str; 2], head: &str| names.map(|name| format!("{name} == {}", head.len()));
        let request_head = size(["request_headers_size", "request.headersSize"], REQUEST);
        let response_head = size(["response_headers_size", "response.headersSize"], RESPONSE);
        let version2 = format!("http_version == \"{version}\"");
        let grpc_method = format!("grpc_method == \"{grpc}\"");
        let grpc_status = format!("grpc_status == {}", if grpc.is_empty() { 0 } else { 5 });
        let protocol = format!("protocol == \"{abbr}\"");
        let kfl2 = [
            "method == \"POST\"",
            "url == \"/pkg.Svc/Say?q=1\"",
            "path == \"/pkg.Svc/Say\"",
            "request.headers[\"host\"] == \"h\"",
            "request.cookies[\"a\"] == \"b\"",
            "query_string[\"q\"] == \"1\"",
            &request_head[0],
            "request_body_size == 0",
            "status_code == 200",
            "response.headers[\"location\"] == \"/l\"",
            "response.cookies[\"c\"] == \"d\"",
            &response_head[0],
            "response_body_size == 0",
            &version2,
            &grpc_method,
            &grpc_status,
            &protocol,
        ];
        let version1 = format!("request.httpVersion == \"{version}\"");
        let version3 = format!("response.httpVersion == \"{version}\"");
        let protocol = format!("protocol.abbr == \"{abbr}\"");
        let kfl1 = [
            "request.method == \"POST\"",
            "request.url == \"/pkg.Svc/Say?q=1\"",
            "request.targetUri == \"/pkg.Svc/Say?q=1\"",
            "request.path == \"/pkg.Svc/Say\"",
            "request.pathSegments[1] == \"Say\"",
            &version1,
            "request.headers.Host == \"h\"",
            "request.cookies.a == \"b\"",
            "request.queryString.q == 1",
            &request_head[1],
            "request.bodySize == 0",
            "response.status == 200",
            "response.statusText == \"OK\"",
            &version3,
            "response.headers.Location == \"/l\"",
            "response.cookies.c == \"d\"",
            "response.redirectURL == \"/l\"",
            &response_head[1],
            "response.bodySize == 0",
            "response.content.mimeType == \"t\"",
            "response.content.size == 0",
            "response.content.encoding == \"base64\"",
            "response.content.text == \"\"",
            &protocol,
            // of bodies, which this exchange has not
            "request.postData.mimeType.contains(\"x\") == false",
            "request.postData.params.contains(\"x\") == false",
            "request.postData.text.contains(\"x\") == false",
        ];
        check(&record, flags, &kfl2, &kfl1);
    }
}

#[test]
fn heads_must_be_whole_and_on_their_side() {
    let head = |text: &str| Some(text.as_bytes().to_vec());
    for (request, response) in [
        (head("GET / HTT"), None),
        (None, head("HTTP/1.1 200 OK\r\n")),
        (head(RESPONSE), None),
        (None, head(REQUEST)),
    ] {
        assert!(Http::decoded(Form::Http2, request, response).is_none());
    }
    check_empty(&Http::decoded(Form::Http2, None, None).unwrap());
}

#[test]
fn redis() {
    let key = format!("{}{}", "k".repeat(63), "äö");
    let record = redis::Redis {
        verb: text("GET"),
        key: text(&key),
        line: text("GET k"),
        sizes: SIZES,
    };
    let cut = format!("redis_key == \"{}\"", "k".repeat(63));
    let kfl2 = [
        "redis_type == \"GET\"",
        "redis_command == \"GET k\"",
        &cut,
        "redis_request_size == 10",
        "redis_response_size == 20",
        "redis_total_size == 30",
    ];
    let whole = format!("request.key == \"{key}\"");
    let kfl1 = ["request.command == \"GET\"", &whole];
    check(&record, &["redis"], &kfl2, &kfl1);
    check_empty(&redis::Redis::default());
}

#[test]
fn kafka() {
    let record = kafka::Kafka {
        api_key: 1,
        api_key_name: "FETCH",
        api_version: 11,
        client_id: text("c"),
        correlation_id: 7,
        size: 6,
        topics: text("orders"),
        sizes: SIZES,
    };
    let kfl2 = [
        "kafka_api_key == 1",
        "kafka_api_key_name == \"FETCH\"",
        "kafka_client_id == \"c\"",
        "kafka_size == 6",
        "kafka_request_summary == \"orders\"",
        "kafka_request == true",
        "kafka_response == true",
        "kafka_request_size == 10",
        "kafka_response_size == 20",
    ];
    let kfl1 = [
        "request.apiKey == 1",
        "request.apiKeyName == \"FETCH\"",
        "request.apiVersion == 11",
        "request.clientID == \"c\"",
        "request.correlationID == 7",
        "request.size == 6",
    ];
    check(&record, &["kafka"], &kfl2, &kfl1);
    check_empty(&kafka::Kafka::default());
}

/// The variables of the messages' presence and size, which four protocols share.
fn lengths(name: &str) -> Vec<String> {
    [
        "request == true",
        "response == true",
        "request_length == 10",
        "response_length == 20",
        "total_size == 30",
    ]
    .map(|line| format!("{name}_{line}"))
    .into()
}

/// The same of three others.
fn sizes(name: &str) -> Vec<String> {
    [
        "request_size == 10",
        "response_size == 20",
        "total_size == 30",
    ]
    .map(|line| format!("{name}_{line}"))
    .into()
}

fn both<'l>(lines: &'l [String], more: &[&'l str]) -> Vec<&'l str> {
    lines
        .iter()
        .map(|l| &**l)
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn amqp_ldap_diameter_and_radius() {
    let record = amqp::Amqp {
        name: "basic.publish",
        about: text("orders"),
        sizes: SIZES,
    };
    let kfl2 = [
        "amqp_method == \"basic.publish\"",
        "amqp_summary == \"orders\"",
    ];
    let kfl1 = ["request.method == \"basic.publish\""];
    check(&record, &["amqp"], &both(&lengths("amqp"), &kfl2), &kfl1);
    check_empty(&amqp::Amqp::default());

    let record = ldap::Ldap {
        operation: "BindRequest",
        about: text("cn=x"),
        sizes: SIZES,
    };
    let kfl2 = ["ldap_type == \"BindRequest\"", "ldap_summary == \"cn=x\""];
    let kfl1 = [
        "request.type == \"BindRequest\"",
        "request.summary == \"cn=x\"",
    ];
    check(&record, &["ldap"], &both(&lengths("ldap"), &kfl2), &kfl1);
    check_empty(&ldap::Ldap::default());

    let record = diameter::Diameter {
        command: "Re-Auth",
        about: text("s1"),
        sizes: SIZES,
    };
    let kfl2 = [
        "diameter_method == \"Re-Auth\"",
        "diameter_summary == \"s1\"",
    ];
    let kfl1 = ["request.method == \"Re-Auth\"", "request.summary == \"s1\""];
    check(
        &record,
        &["diameter"],
        &both(&lengths("diameter"), &kfl2),
        &kfl1,
    );
    check_empty(&diameter::Diameter::default());

    let record = radius::Radius {
        code: 1,
        code_name: "Access-Request",
        authenticator: text("00ff"),
        sizes: SIZES,
    };
    let kfl2 = [
        "radius_code == 1",
        "radius_code_name == \"Access-Request\"",
        "radius_request_authenticator == \"00ff\"",
    ];
    let kfl1 = [
        "request.code == 1",
        "request.codeName == \"Access-Request\"",
        "request.authenticator == \"00ff\"",
    ];
    check(
        &record,
        &["radius"],
        &both(&lengths("radius"), &kfl2),
        &kfl1,
    );
    check_empty(&radius::Radius::default());
}

#[test]
fn web_socket() {
    let record = ws::Ws {
        opcode: "text",
        payload: text("hi"),
        length: 2,
        response_opcode: "binary",
        response_payload: text("ho!"),
        response_length: 3,
        sizes: SIZES,
    };
    let kfl2 = [
        "ws_opcode == \"text\"",
        "ws_request == true",
        "ws_response == true",
        "ws_request_payload_data == \"hi\"",
        "ws_request_payload_length == 2",
        "ws_response_payload_length == 3",
    ];
    let kfl1 = [
        "request.opcode == \"text\"",
        "request.payload == \"hi\"",
        "request.length == 2",
        "response.opcode == \"binary\"",
        "response.payload == \"ho!\"",
        "response.length == 3",
    ];
    check(&record, &["ws"], &kfl2, &kfl1);
    let server = ws::Ws {
        sizes: Sizes {
            request: None,
            response: Some(5),
        },
        ..record
    };
    let alone = "ws_opcode == \"binary\" && !ws_request && ws_request_payload_data == \"\"";
    assert!(eval(&server, alone, Lang::Kfl2));
    check_empty(&ws::Ws::default());
}

#[test]
fn databases() {
    let record = mongodb::Mongodb {
        command: text("find"),
        database: text("d"),
        collection: text("c"),
        opcode: "OP_MSG",
        success: false,
        error_code: 26,
        error_code_name: text("NamespaceNotFound"),
        error_message: text("m"),
        sizes: SIZES,
    };
    let kfl2 = [
        "mongodb_command == \"find\"",
        "mongodb_database == \"d\"",
        "mongodb_collection == \"c\"",
        "mongodb_opcode == \"OP_MSG\"",
        "mongodb_success == false",
        "mongodb_error_code == 26",
        "mongodb_error_code_name == \"NamespaceNotFound\"",
        "mongodb_error_message == \"m\"",
    ];
    let kfl1 = [
        "request.command == \"find\"",
        "request.database == \"d\"",
        "request.collection == \"c\"",
        "request.opcode == \"OP_MSG\"",
        "response.success == false",
        "response.errorCode == 26",
        "response.errorCodeName == \"NamespaceNotFound\"",
        "response.errorMessage == \"m\"",
    ];
    check(
        &record,
        &["mongodb"],
        &both(&sizes("mongodb"), &kfl2),
        &kfl1,
    );
    check_empty(&mongodb::Mongodb::default());

    let record = mysql::Mysql {
        command: text("COM_QUERY"),
        query: text("SELECT 1"),
        database: text("d"),
        statement_id: 4,
        success: true,
        error_code: 0,
        error_message: Text::default(),
        sizes: SIZES,
    };
    let kfl2 = [
        "mysql_command == \"COM_QUERY\"",
        "mysql_query == \"SELECT 1\"",
        "mysql_database == \"d\"",
        "mysql_statement_id == 4",
        "mysql_success == true",
        "mysql_error_code == 0",
        "mysql_error_message == \"\"",
    ];
    let kfl1 = [
        "request.command == \"COM_QUERY\"",
        "request.query == \"SELECT 1\"",
        "request.database == \"d\"",
        "request.statementId == 4",
        "response.success == true",
        "response.errorCode == 0",
        "response.errorMessage == \"\"",
    ];
    check(&record, &["mysql"], &both(&sizes("mysql"), &kfl2), &kfl1);
    check_empty(&mysql::Mysql::default());

    let record = postgresql::Postgresql {
        command: text("Query"),
        query: text("INSERT"),
        database: text("d"),
        user: text("u"),
        success: false,
        error_code: text("23505"),
        error_message: text("m"),
        sizes: SIZES,
    };
    let kfl2 = [
        "postgresql_command == \"Query\"",
        "postgresql_query == \"INSERT\"",
        "postgresql_database == \"d\"",
        "postgresql_user == \"u\"",
        "postgresql_success == false",
        "postgresql_error_code == \"23505\"",
        "postgresql_error_message == \"m\"",
    ];
    let kfl1 = [
        "request.command == \"Query\"",
        "request.query == \"INSERT\"",
        "request.database == \"d\"",
        "request.user == \"u\"",
        "response.success == false",
        "response.errorCode == \"23505\"",
        "response.errorMessage == \"m\"",
    ];
    check(
        &record,
        &["postgresql"],
        &both(&sizes("postgresql"), &kfl2),
        &kfl1,
    );
    check_empty(&postgresql::Postgresql::default());
}

#[test]
fn tls_handshakes_have_a_flag_of_their_own() {
    let record = tls::Tls {
        summary: text("shop.example"),
        info: text("TLS 1.3"),
        sizes: SIZES,
    };
    let kfl2 = ["tls_summary == \"shop.example\"", "tls_info == \"TLS 1.3\""];
    let kfl1 = [
        "request.summary == \"shop.example\"",
        "response.info == \"TLS 1.3\"",
    ];
    check(&record, &["tlsx"], &both(&sizes("tls"), &kfl2), &kfl1);
    check_empty(&tls::Tls::default());
    // `tls` says how the bytes were taken
    assert!(!eval(&record, "tls", Lang::Kfl2) && !eval(&record, "tls", Lang::Kfl1));
    let mut scene = Scene::bare();
    scene.tls = true;
    for lang in [Lang::Kfl1, Lang::Kfl2] {
        assert_eq!(scene.eval(&udp::Udp::default(), "tls", lang), Outcome::True);
    }
}

#[test]
fn what_has_no_protocol_above_it() {
    let raw = |bytes: &[u8]| Raw(Part::Own(bytes.into()));
    let record = tcp::Tcp {
        action: "RST",
        payload: raw(b"abc"),
        error_type: "Reset",
        error_message: text("reset"),
    };
    let kfl2 = [
        "tcp_method == \"RST\"",
        "tcp_payload == b\"abc\"",
        "tcp_error_type == \"Reset\"",
        "tcp_error_message == \"reset\"",
    ];
    let kfl1 = ["data.method == \"RST\"", "data.payload == \"abc\""];
    check(&record, &["tcp"], &kfl2, &kfl1);

    let record = udp::Udp {
        length: 11,
        checksum: 65_535,
        payload: raw(b"abc"),
    };
    let kfl2 = [
        "udp_length == 11",
        "udp_checksum == 65535",
        "udp_payload == b\"abc\"",
    ];
    let kfl1 = [
        "data.length == 11",
        "data.checksum == 65535",
        "data.payload == \"abc\"",
    ];
    check(&record, &["udp"], &kfl2, &kfl1);

    let record = sctp::Sctp {
        checksum: u32::MAX,
        chunk_type: "DATA",
        length: 16,
    };
    let kfl2 = [
        "sctp_checksum == 4294967295",
        "sctp_chunk_type == \"DATA\"",
        "sctp_length == 16",
    ];
    let kfl1 = [
        "data.checksum == 4294967295",
        "data.chunkType == \"DATA\"",
        "data.length == 16",
    ];
    check(&record, &["sctp"], &kfl2, &kfl1);

    let record = icmp::Icmp {
        kind: "EchoRequest",
        version: 6,
        length: 64,
    };
    let kfl2 = [
        "icmp_type == \"EchoRequest\"",
        "icmp_version == 6",
        "icmp_length == 64",
    ];
    let kfl1 = [
        "data.type == \"EchoRequest\"",
        "data.version == 6",
        "data.length == 64",
    ];
    check(&record, &["icmp"], &kfl2, &kfl1);
}

#[test]
fn connections_and_flows() {
    let count = |n| conn::Count {
        packets: n,
        bytes: n * 100,
    };
    let totals = |name: &str| -> Vec<String> {
        [
            "state == \"closed\"",
            "local_pkts == 1",
            "local_bytes == 100",
            "remote_pkts == 2",
            "remote_bytes == 200",
            "l7_detected == [\"HTTP\", \"TLS\"]",
            "group_id == 9",
        ]
        .map(|line| format!("{name}_{line}"))
        .into()
    };
    let kfl1 = [
        "data.state == \"closed\"",
        "data.localPackets == 1",
        "data.localBytes == 100",
        "data.remotePackets == 2",
        "data.remoteBytes == 200",
        "data.l7Detected == \"TLS\"",
        "data.groupId == 9",
        "data.localPps == 3",
        "data.localBps == 300",
        "data.remotePps == 4",
        "data.remoteBps == 400",
    ];
    for (udp, transport) in [(false, "tcp"), (true, "udp")] {
        let record = conn::Conn {
            udp,
            local: count(1),
            remote: count(2),
            state: conn::State::Closed,
            l7_detected: vec!["HTTP", "TLS"],
            group: 9,
        };
        let flag = format!("{transport}_conn");
        check(
            &record,
            &["conn", &flag],
            &both(&totals("conn"), &[]),
            &kfl1[..7],
        );
        let record = flow::Flow {
            udp,
            local: count(1),
            remote: count(2),
            local_rate: count(3),
            remote_rate: count(4),
            state: conn::State::Closed,
            l7_detected: vec!["HTTP", "TLS"],
            group: 9,
        };
        let flag = format!("{transport}_flow");
        let rates = [
            "flow_local_pps == 3",
            "flow_local_bps == 300",
            "flow_remote_pps == 4",
            "flow_remote_bps == 400",
        ];
        check(
            &record,
            &["flow", &flag],
            &both(&totals("flow"), &rates),
            &kfl1,
        );
    }
    for (state, name) in [
        (conn::State::Open, "open"),
        (conn::State::InProgress, "in_progress"),
    ] {
        let record = conn::Conn {
            state,
            ..conn::Conn::default()
        };
        assert!(eval(
            &record,
            &format!("conn_state == \"{name}\""),
            Lang::Kfl2
        ));
    }
}
