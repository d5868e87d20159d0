//! Every type of record, as text and as value.

use super::super::rdata::Data;
use super::super::value;
use super::super::wire::{Message, Section};
use super::build::{Build, hex};
use gillnet_entry::{Bump, Ctx, Nothing, json};

/// Type, data in hex, presentation text, and what stands beside the text in JSON.
const RECORDS: &[(u16, &str, &str, &str)] = &[
    (1, "c0000201", "192.0.2.1", r#""ip":"192.0.2.1""#),
    (
        28,
        "20010db8000000000000000000000001",
        "2001:db8::1",
        r#""ip":"2001:db8::1""#,
    ),
    (
        2,
        "036e7331076578616d706c65036f726700",
        "ns1.example.org",
        r#""ns":"ns1.example.org""#,
    ),
    (
        5,
        "03777777076578616d706c65036f726700",
        "www.example.org",
        r#""cname":"www.example.org""#,
    ),
    (
        12,
        "04686f7374076578616d706c65036f726700",
        "host.example.org",
        r#""ptr":"host.example.org""#,
    ),
    (
        39,
        "076578616d706c65036e657400",
        "example.net",
        r#""dname":"example.net""#,
    ),
    (
        8,
        "076578616d706c65036e657400",
        "example.net",
        r#""mailbox":"example.net""#,
    ),
    (
        6,
        "036e7331076578616d706c65036f7267000a686f73746d6173746572076578616d706c65036f72670078a3f17500001c2000000e10001275000000012c",
        "ns1.example.org hostmaster.example.org 2024010101 7200 3600 1209600 300",
        r#""soa":{"mname":"ns1.example.org","rname":"hostmaster.example.org","serial":2024010101,"refresh":7200,"retry":3600,"expire":1209600,"minimum":300}"#,
    ),
    (
        15,
        "000a046d61696c076578616d706c65036f726700",
        "10 mail.example.org",
        r#""mx":{"preference":10,"name":"mail.example.org"}"#,
    ),
    (
        18,
        "000103616673076578616d706c65036f726700",
        "1 afs.example.org",
        r#""afsdb":{"preference":1,"name":"afs.example.org"}"#,
    ),
    (
        36,
        "000a026b78076578616d706c65036f726700",
        "10 kx.example.org",
        r#""kx":{"preference":10,"name":"kx.example.org"}"#,
    ),
    (
        21,
        "000a027274076578616d706c65036f726700",
        "10 rt.example.org",
        r#""rt":{"preference":10,"name":"rt.example.org"}"#,
    ),
    (
        107,
        "000a036c3634076578616d706c65036f726700",
        "10 l64.example.org",
        r#""lp":{"preference":10,"name":"l64.example.org"}"#,
    ),
    (
        17,
        "0561646d696e076578616d706c65036f72670003747874076578616d706c65036f726700",
        "admin.example.org txt.example.org",
        "",
    ),
    (
        16,
        "0b763d73706631202d616c6c0e61202271756f74656422205c2007",
        r#""v=spf1 -all" "a \"quoted\" \\ \007""#,
        r#""txts":["v=spf1 -all","a \"quoted\" \\ \u0007"]"#,
    ),
    (16, "00", r#""""#, r#""txts":[""]"#),
    (
        99,
        "0b763d73706631202d616c6c",
        r#""v=spf1 -all""#,
        r#""txts":["v=spf1 -all"]"#,
    ),
    (
        13,
        "0741524d56382d41054c696e7578",
        r#""ARMV8-A" "Linux""#,
        r#""hinfo":{"cpu":"ARMV8-A","os":"Linux"}"#,
    ),
    (
        33,
        "000a003c13c403736970076578616d706c65036f726700",
        "10 60 5060 sip.example.org",
        r#""srv":{"priority":10,"weight":60,"port":5060,"name":"sip.example.org"}"#,
    ),
    (
        35,
        "0064000a0175074532552b7369701b215e2e2a24217369703a696e666f406578616d706c652e6f72672100",
        r#"100 10 "u" "E2U+sip" "!^.*$!sip:info@example.org!" ."#,
        r#""naptr":{"order":100,"preference":10,"flags":"u","services":"E2U+sip","regexp":"!^.*$!sip:info@example.org!","replacement":"."}"#,
    ),
    (
        256,
        "000a000168747470733a2f2f6578616d706c652e6f72672f",
        r#"10 1 "https://example.org/""#,
        r#""uri":{"priority":10,"weight":1,"target":"https://example.org/"}"#,
    ),
    (
        257,
        "8005697373756563612e6578616d706c652e6f7267",
        r#"128 issue "ca.example.org""#,
        r#""caa":{"flags":128,"tag":"issue","value":"ca.example.org"}"#,
    ),
    (
        43,
        "ec4505012bb183af5f22588179a53b0a98631fad1a292118",
        "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118",
        r#""ds":{"keyTag":60485,"algorithm":5,"digestType":1,"digest":"2bb183af5f22588179a53b0a98631fad1a292118"}"#,
    ),
    (
        59,
        "ec450501aabb",
        "60485 5 1 aabb",
        r#""ds":{"keyTag":60485,"algorithm":5,"digestType":1,"digest":"aabb"}"#,
    ),
    (
        32769,
        "ec450501aabb",
        "60485 5 1 aabb",
        r#""ds":{"keyTag":60485,"algorithm":5,"digestType":1,"digest":"aabb"}"#,
    ),
    (
        48,
        "0101030ddeadbeef",
        "257 3 13 3q2+7w==",
        r#""dnskey":{"flags":257,"protocol":3,"algorithm":13,"key":"3q2+7w=="}"#,
    ),
    (
        60,
        "0101030ddeadbeef",
        "257 3 13 3q2+7w==",
        r#""dnskey":{"flags":257,"protocol":3,"algorithm":13,"key":"3q2+7w=="}"#,
    ),
    (
        46,
        "00010d0300000e1065badf0065920080ec45076578616d706c65036f726700deadbeef",
        "A 13 3 3600 20240201000000 20240101000000 60485 example.org 3q2+7w==",
        r#""rrsig":{"typeCovered":"A","algorithm":13,"labels":3,"originalTtl":3600,"expiration":1706745600,"inception":1704067200,"keyTag":60485,"signer":"example.org","signature":"3q2+7w=="}"#,
    ),
    (
        47,
        "04686f7374076578616d706c65036f7267000006400100000003041b000000000000000000000000000000000000000000000000000020",
        "host.example.org A MX RRSIG NSEC TYPE1234",
        r#""nsec":{"next":"host.example.org","types":["A","MX","RRSIG","NSEC","TYPE1234"]}"#,
    ),
    (
        50,
        "0101000c04aabbccdd1417f3df17b2b2adaef615257de4d2020b80ac6c7c0006400000000002",
        "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
        r#""nsec3":{"flags":1,"iterations":12,"salt":"aabbccdd","next":"2vptu5timamqttgl4luu9kg21e0aor3s","types":["A","RRSIG"]}"#,
    ),
    (
        50,
        "010000000003666f6f",
        "1 0 0 - cpnmu",
        r#""nsec3":{"flags":0,"iterations":0,"salt":"-","next":"cpnmu","types":[]}"#,
    ),
    (
        51,
        "0100000c04aabbccdd",
        "1 0 12 aabbccdd",
        r#""nsec3param":{"flags":0,"iterations":12,"salt":"aabbccdd"}"#,
    ),
    (
        44,
        "0402123456",
        "4 2 123456",
        r#""sshfp":{"algorithm":4,"type":2,"fingerprint":"123456"}"#,
    ),
    (
        52,
        "0301010123",
        "3 1 1 0123",
        r#""tlsa":{"usage":3,"selector":1,"matchingType":1,"data":"0123"}"#,
    ),
    (
        53,
        "0301010123",
        "3 1 1 0123",
        r#""tlsa":{"usage":3,"selector":1,"matchingType":1,"data":"0123"}"#,
    ),
    (
        64,
        "000003737663076578616d706c65036f726700",
        "0 svc.example.org",
        r#""svcb":{"priority":0,"target":"svc.example.org","params":{}}"#,
    ),
    (
        65,
        "000100000100060268320268330003000220fb00040008c0000201c00002020006001020010db8000000000000000000000001",
        r#"1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.1,192.0.2.2" ipv6hint="2001:db8::1""#,
        r#""svcb":{"priority":1,"target":".","params":{"alpn":"h2,h3","port":"8443","ipv4hint":"192.0.2.1,192.0.2.2","ipv6hint":"2001:db8::1"}}"#,
    ),
    (
        64,
        "0010000000000400010004000200000005000300ff00029b000568d2716f6f",
        r#"16 . mandatory="alpn,ipv4hint" no-default-alpn ech="AP8A" key667="h\210qoo""#,
        r#""svcb":{"priority":16,"target":".","params":{"mandatory":"alpn,ipv4hint","no-default-alpn":"","ech":"AP8A","key667":"h\\210qoo"}}"#,
    ),
    (29, "00121613", r"\# 4 00121613", r#""rdata":"00121613""#),
    (65280, "0a0b0c", r"\# 3 0a0b0c", r#""rdata":"0a0b0c""#),
    (65280, "", "", ""),
    // data that contradict their type
    (1, "c00002", r"\# 3 c00002", r#""rdata":"c00002""#),
    (
        1,
        "c000020101",
        r"\# 5 c000020101",
        r#""rdata":"c000020101""#,
    ),
    (15, "000a", r"\# 2 000a", r#""rdata":"000a""#),
    (16, "05aa", r"\# 2 05aa", r#""rdata":"05aa""#),
    (47, "000006", r"\# 3 000006", r#""rdata":"000006""#),
    (
        65,
        "00010000010006",
        r"\# 7 00010000010006",
        r#""rdata":"00010000010006""#,
    ),
];

fn shown(message: &Build) -> (String, String) {
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let message = Message::read(&message.bytes).unwrap();
    let record = message.section(Section::Answers).next().unwrap();
    let mut out = Vec::new();
    json::write_value(&value::records(message, Section::Answers, &ctx), &mut out);
    (
        Data::of(&record).to_string(),
        String::from_utf8(out).unwrap(),
    )
}

#[test]
fn each_type_as_text_and_value() {
    for (kind, data, text, json) in RECORDS {
        let message = Build::response(1, "example.org", 255).answer(*kind, &hex(data));
        let (shown_text, shown_json) = shown(&message);
        assert_eq!(shown_text, *text, "TYPE{kind}");
        let beside = if json.is_empty() {
            String::new()
        } else {
            format!("{json},")
        };
        let (head, rest) = shown_json.split_once(r#""ttl":300,"#).unwrap();
        assert!(
            head.starts_with(r#"[{"name":"example.org","type":""#),
            "{head}"
        );
        let data = quoted(text);
        assert_eq!(rest, format!(r#"{beside}"data":{data}}}]"#), "TYPE{kind}");
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::write_str(text, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn names_in_data_may_be_compressed() {
    let message = Build::response(1, "example.org", 15).answer(15, b"\x00\x0a\x04mail\xc0\x0c");
    assert_eq!(shown(&message).0, "10 mail.example.org");
    // but not reach beyond their record
    let message = Build::response(1, "example.org", 15).answer(15, b"\x00\x0a\x04mail");
    assert_eq!(shown(&message).0, r"\# 7 000a046d61696c");
}

#[test]
fn unknown_classes_and_types_have_their_number() {
    let message = Build::response(1, "example.org", 255).record(1, &[0xc0, 12], 65281, 7, 0, &[1]);
    assert_eq!(
        shown(&message).1,
        r#"[{"name":"example.org","type":"TYPE65281","class":"CLASS7","ttl":0,"rdata":"01","data":"\\# 1 01"}]"#
    );
}

#[test]
fn edns_is_read() {
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let options = hex(concat!(
        "0008000700011800c00002",   // client subnet 192.0.2.0/24
        "0008000800023800fd000000", // client subnet fd00::/56
        "000a00080001020304050607", // cookie
        "000f000700176e6f206b65",   // extended error
        "000f00020016",
        "000b00020190",     // keepalive
        "000c000400000000", // padding
        "fde900020102",     // for local use
    ));
    let message = Build::query(1, "example.org", 1).opt(0x0100_8000, &options);
    let mut out = Vec::new();
    json::write_value(
        &value::edns(Message::read(&message.bytes).unwrap(), &ctx),
        &mut out,
    );
    let expected = [
        r#"{"udpSize":1232,"version":0,"dnssecOk":true,"options":["#,
        r#"{"code":8,"name":"Client Subnet","data":"192.0.2.0/24/0"},"#,
        r#"{"code":8,"name":"Client Subnet","data":"fd00::/56/0"},"#,
        r#"{"code":10,"name":"Cookie","data":"0001020304050607"},"#,
        r#"{"code":15,"name":"Extended DNS Error","data":"23 \"no ke\""},"#,
        r#"{"code":15,"name":"Extended DNS Error","data":"22"},"#,
        r#"{"code":11,"name":"TCP Keepalive","data":"40.0 s"},"#,
        r#"{"code":12,"name":"Padding","data":"4 bytes"},"#,
        r#"{"code":65001,"name":"OPT65001","data":"0102"}]}"#,
    ];
    assert_eq!(String::from_utf8(out).unwrap(), expected.concat());
}
