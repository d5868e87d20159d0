//! The fields of an entry: JSON, KFL2, and what a list shows.

use super::super::record::{Dns, Half, SCHEMA};
use super::build::{Build, wire};
use gillnet_entry::{Bump, Ctx, Nothing, Part, Record, json};

fn half(message: &Build) -> Option<Half> {
    let len = u32::try_from(message.bytes.len()).unwrap();
    Some(Half {
        len,
        part: Part::Own(message.bytes.as_slice().into()),
    })
}

fn exchange() -> Dns {
    let query = Build::query(7, "www.example.org", 1).opt(0x8000, &[]);
    let soa = [
        wire("ns.example.org"),
        wire("admin.example.org"),
        vec![0; 20],
    ]
    .concat();
    let response = Build::response(7, "www.example.org", 1)
        .record(1, &[0xc0, 12], 5, 1, 60, b"\x01b\xc0\x10")
        .record(1, b"\x01b\xc0\x10", 1, 1, 60, &[192, 0, 2, 1])
        .record(2, &[0xc0, 16], 6, 1, 60, &soa)
        .opt(0, &[]);
    Dns {
        query: half(&query),
        response: half(&response),
    }
}

/// A field by its name in JSON or KFL2, as JSON.
fn field(record: &Dns, name: &str) -> String {
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let index = SCHEMA.json(name).or_else(|| SCHEMA.kfl2(name)).unwrap();
    let mut out = Vec::new();
    json::write_value(&record.get(index, &ctx), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn fields_of_an_exchange() {
    let record = exchange();
    for (name, value) in [
        ("request.id", "7"),
        ("request.opCode", r#""Query""#),
        (
            "request.questions",
            r#"[{"name":"www.example.org","type":"A","class":"IN"}]"#,
        ),
        (
            "request.edns",
            r#"{"udpSize":1232,"version":0,"dnssecOk":true,"options":[]}"#,
        ),
        ("request.answers", "null"),
        ("response.code", r#""No Error""#),
        ("response.rcode", "0"),
        (
            "response.flags",
            r#"{"authoritative":false,"truncated":false,"recursionDesired":true,"recursionAvailable":true,"authenticData":false,"checkingDisabled":false}"#,
        ),
        (
            "response.questions",
            r#"[{"name":"www.example.org","type":"A","class":"IN"}]"#,
        ),
        (
            "response.answers",
            r#"[{"name":"www.example.org","type":"CNAME","class":"IN","ttl":60,"cname":"b.example.org","data":"b.example.org"},{"name":"b.example.org","type":"A","class":"IN","ttl":60,"ip":"192.0.2.1","data":"192.0.2.1"}]"#,
        ),
        (
            "response.additionals",
            r#"[{"name":".","type":"OPT","class":"CLASS1232","ttl":0,"opt":[],"data":""}]"#,
        ),
        ("dns_questions", r#"["www.example.org"]"#),
        ("dns_question_types", r#"["A"]"#),
        ("dns_answers", r#"["b.example.org","192.0.2.1"]"#),
        ("dns_request", "true"),
        ("dns_response", "true"),
        ("dns_request_length", "44"),
        ("dns_response_length", "145"),
        ("dns_total_size", "189"),
        ("status_code", "0"),
    ] {
        assert_eq!(field(&record, name), value, "{name}");
    }
    assert!(field(&record, "response.authorities").contains(r#""soa":{"mname":"ns.example.org""#));
}

#[test]
fn halves_say_what_they_have() {
    let Dns { query, response } = exchange();
    let unanswered = Dns {
        query,
        response: None,
    };
    assert_eq!(
        [
            field(&unanswered, "response"),
            field(&unanswered, "status_code")
        ],
        ["null", "null"]
    );
    assert_eq!(
        [
            field(&unanswered, "dns_response"),
            field(&unanswered, "dns_answers")
        ],
        ["false", "[]"]
    );
    let unasked = Dns {
        query: None,
        response,
    };
    assert_eq!(
        [field(&unasked, "request"), field(&unasked, "dns_request")],
        ["null", "false"]
    );
    assert_eq!(
        field(&unasked, "dns_questions"),
        r#"["www.example.org"]"#,
        "as the response repeats it"
    );
    assert_eq!(field(&unasked, "dns_request_length"), "0");
}

#[test]
fn a_list_shows_question_type_and_code() {
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let record = exchange();
    assert_eq!(
        (record.method(&ctx), record.summary(&ctx)),
        ("A", "www.example.org")
    );
    assert_eq!(
        (record.status(&ctx), record.ok(&ctx)),
        (("No Error", Some(0)), true)
    );
    for (rcode, text) in [
        (1, "Format Error"),
        (2, "Server Failure"),
        (3, "Non-Existent Domain"),
        (4, "Not Implemented"),
        (5, "Query Refused"),
        (12, "RCODE12"),
    ] {
        let response = Build::new(7, 0x8180 | rcode).question("x.example", 65280, 1);
        let record = Dns {
            query: None,
            response: half(&response),
        };
        assert_eq!(
            (record.status(&ctx), record.ok(&ctx)),
            ((text, Some(rcode.into())), false)
        );
        assert_eq!(record.method(&ctx), "TYPE65280");
    }
    let empty = Dns {
        query: None,
        response: None,
    };
    assert_eq!(
        (
            empty.summary(&ctx),
            empty.method(&ctx),
            empty.status(&ctx).1,
            empty.ok(&ctx)
        ),
        ("", "", None, true)
    );
}

#[test]
fn a_copy_needs_no_store_and_keeps_its_lengths() {
    let record = exchange();
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let index = SCHEMA.kfl2("dns_response_length").unwrap();
    let cut = record.detach(&Nothing, 40);
    assert_eq!(cut.get(index, &ctx), record.get(index, &ctx));
    assert_eq!(cut.summary(&ctx), "www.example.org");
}

#[test]
fn each_name_is_used_once_and_said() {
    for (i, field) in SCHEMA.fields.iter().enumerate() {
        assert!(field.doc.len() > 10, "{field:?}");
        let others = SCHEMA.fields.iter().skip(i + 1);
        for other in others {
            assert!(
                field.json.is_empty() || field.json != other.json,
                "{}",
                field.json
            );
            assert!(
                field.kfl2.is_empty() || field.kfl2 != other.kfl2,
                "{}",
                field.kfl2
            );
        }
    }
}
