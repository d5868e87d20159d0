//! Every variable of Kubeshark's KFL2 exists, with its type and default.

use crate::spoken::{Scene, env, strict};
use gillnet_entry::Record;
use gillnet_kfl::{Env, ItemKind, Lang, Options, Outcome, compile, words};
use gillnet_protocols::icmp::Icmp;
use gillnet_protocols::udp::Udp;
use std::collections::HashMap;

/// Variables that every entry has, by type.
const COMMON: &[(&str, &str)] = &[
    (
        "string",
        "src.ip dst.ip protocol src.pod.name src.pod.namespace src.service.name src.service.namespace src.name src.namespace \
         src.dns dst.pod.name dst.pod.namespace dst.service.name dst.service.namespace dst.name dst.namespace dst.dns \
         local_process_name remote_process_name local_node_name remote_node_name local_resolution_status \
         remote_resolution_status node_name node_ip node_id stream worker capture_source capture_backend",
    ),
    (
        "int",
        "src.port dst.port id index elapsed_time conn_id flow_id capture_source_code",
    ),
    ("bool", "has_pcap tls"),
    ("list(string)", "namespaces pods services dns_resolutions"),
    (
        "map(string, string)",
        "local_labels local_annotations remote_labels remote_annotations node capture",
    ),
    ("timestamp", "timestamp"),
];

/// Of these, the ones that have a value even where nothing is known.
const ALWAYS: &str = "src.ip dst.ip src.port dst.port protocol stream id index conn_id flow_id node capture timestamp";

/// Variables of protocols, by type.
const OWN: &[(&str, &str)] = &[
    (
        "string",
        "method url path http_version grpc_method tls_summary tls_info tcp_method tcp_error_type tcp_error_message \
         sctp_chunk_type icmp_type ws_opcode ws_request_payload_data redis_type redis_command redis_key kafka_api_key_name \
         kafka_client_id kafka_request_summary amqp_method amqp_summary ldap_type ldap_summary diameter_method \
         diameter_summary radius_code_name radius_request_authenticator mongodb_command mongodb_database \
         mongodb_collection mongodb_opcode mongodb_error_message mongodb_error_code_name mysql_command mysql_query \
         mysql_database mysql_error_message postgresql_command postgresql_query postgresql_database postgresql_user \
         postgresql_error_message postgresql_error_code conn_state flow_state",
    ),
    (
        "int",
        "status_code request_headers_size request_body_size response_headers_size response_body_size grpc_status \
         dns_request_length dns_response_length dns_total_size tls_request_size tls_response_size tls_total_size udp_length \
         udp_checksum sctp_checksum sctp_length icmp_version icmp_length ws_request_payload_length \
         ws_response_payload_length redis_request_size redis_response_size redis_total_size kafka_api_key kafka_size \
         kafka_request_size kafka_response_size amqp_request_length amqp_response_length amqp_total_size \
         ldap_request_length ldap_response_length ldap_total_size diameter_request_length diameter_response_length \
         diameter_total_size radius_code radius_request_length radius_response_length radius_total_size \
         mongodb_request_size mongodb_response_size mongodb_total_size mongodb_error_code mysql_statement_id \
         mysql_request_size mysql_response_size mysql_total_size mysql_error_code postgresql_request_size \
         postgresql_response_size postgresql_total_size conn_local_pkts conn_local_bytes conn_remote_pkts \
         conn_remote_bytes conn_group_id flow_local_pkts flow_local_bytes flow_remote_pkts flow_remote_bytes \
         flow_local_pps flow_local_bps flow_remote_pps flow_remote_bps flow_group_id",
    ),
    (
        "bool",
        "dns_request dns_response ws_request ws_response kafka_request kafka_response amqp_request amqp_response \
         ldap_request ldap_response diameter_request diameter_response radius_request radius_response mongodb_success \
         mysql_success postgresql_success",
    ),
    ("bytes", "tcp_payload udp_payload"),
    (
        "list(string)",
        "dns_questions dns_answers dns_question_types conn_l7_detected flow_l7_detected",
    ),
    (
        "map(string, string)",
        "query_string request.headers response.headers request.cookies response.cookies",
    ),
];

/// Flags.
const FLAGS: &str = "http dns tls tcp udp sctp icmp grpc redis kafka amqp ldap ws gql gqlv1 gqlv2 mongodb mysql postgresql \
                     radius diameter conn flow tcp_conn udp_conn tcp_flow udp_flow";

/// A test of the type of `_`, the default of a variable of it, and a value of another type.
fn literals(of: &str) -> (&'static str, &'static str, &'static str) {
    match of {
        "string" => ("type(_) == string", "\"\"", "1"),
        "int" => ("type(_) == int", "0", "\"1\""),
        "bool" => ("type(_) == bool", "false", "0"),
        "bytes" => ("type(_) == bytes", "b\"\"", "\"\""),
        "list(string)" => ("type(_) == list", "[]", "\"\""),
        "map(string, string)" => ("type(_) == map", "{}", "[]"),
        _ => ("_ - _ == duration(\"0s\")", "", "0"),
    }
}

/// An entry of a protocol that has neither this variable nor this flag.
fn other(name: &str) -> Box<dyn Record> {
    if name.starts_with("icmp") {
        Box::new(Udp::default())
    } else {
        Box::new(Icmp::default())
    }
}

fn says(name: &str, text: &str, lang: Lang) -> bool {
    Scene::bare().eval(&*other(name), text, lang) == Outcome::True
}

#[test]
fn every_variable_has_its_type_and_its_default() {
    let listed = |rows: &'static [(&str, &str)]| {
        rows.iter()
            .flat_map(|(of, names)| names.split(' ').map(|name| (*of, name)))
    };
    let always: Vec<&str> = ALWAYS.split(' ').collect();
    let mut checked = 0;
    for (of, name) in listed(COMMON).chain(listed(OWN)) {
        let (typed, default, wrong) = literals(of);
        let text = typed.replace('_', name);
        assert!(says(name, &text, Lang::Kfl2), "{text}");
        let refused = strict(&format!("{name} == {wrong}"), Lang::Kfl2);
        assert!(refused.is_err(), "{name} == {wrong}");
        if !always.contains(&name) {
            let text = format!("{name} == {default}");
            assert!(says(name, &text, Lang::Kfl2), "{text}");
        }
        checked += 1;
    }
    assert_eq!(checked, 192);
}

#[test]
fn every_flag_is_there_in_both_spellings() {
    for flag in FLAGS.split(' ') {
        for (lang, not) in [(Lang::Kfl1, "!"), (Lang::Kfl2, "!")] {
            assert!(says(flag, &format!("{not}{flag}"), lang), "{flag}");
        }
        assert!(says(flag, &format!("type({flag}) == bool"), Lang::Kfl2));
    }
}

#[test]
fn every_word_is_documented() {
    let words = words(&env());
    let documented: HashMap<&str, _> = words.iter().map(|w| (&*w.kfl2, w)).collect();
    let names = COMMON.iter().chain(OWN).flat_map(|(of, names)| {
        let of = *of;
        names
            .split(' ')
            .map(move |name| (name, of, ItemKind::Field))
    });
    let flags = FLAGS.split(' ').filter(|flag| *flag != "tls"); // a field
    for (name, of, kind) in names.chain(flags.map(|flag| (flag, "bool", ItemKind::Flag))) {
        let word = documented.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((&*word.of, word.kind), (of, kind), "{name}");
    }
    for word in &words {
        let text = word.doc.trim_end_matches('.');
        assert!(
            text.len() > 10 && text.len() < word.doc.len(),
            "{}{}: {:?}",
            word.kfl1,
            word.kfl2,
            word.doc
        );
    }
}

#[test]
fn aliases_of_the_tables_are_strictly_valid() {
    for word in words(&env()) {
        if !word.kfl1.is_empty() {
            let text = format!("{} != nil", word.kfl1);
            let found = strict(&text, Lang::Kfl1);
            assert!(found.is_ok(), "{text}: {found:?}");
        }
    }
}

#[test]
fn common_variables_read_what_is_known() {
    let scene = Scene::cluster();
    for text in [
        r#"local_labels["app"] == "cart" && remote_labels["app"] == "card""#,
        r#"local_annotations["team"] == "cart" && remote_annotations["team"] == "card""#,
        r#"local_process_name == "curl" && remote_process_name == "nginx""#,
        r#"local_node_name == "n1" && remote_node_name == "n2""#,
        r#"local_resolution_status == "" && remote_resolution_status == "cache_miss""#,
        r#"src.pod.name == "cart-1" && dst.pod.name == "card" && dst.pod.namespace == "pay""#,
        r#"pods == ["cart-1"] && services == ["card"] && namespaces == ["shop", "pay"]"#,
        r#"node_id == "c/n1" && node["ip"] == "10.0.0.1" && worker == "10.0.0.1:48999""#,
        r#"id == 5 * 16777216 + 3 && index == 3 && conn_id == 5 && flow_id == 5"#,
        r#"has_pcap && tls && capture_source == "ebpf_tls" && capture_source_code == 3"#,
        r#"capture_backend == "ebpf" && capture["source"] == "ebpf_tls""#,
        r#"timestamp == timestamp("2023-11-14T22:13:20Z") && elapsed_time == 0"#,
    ] {
        assert_eq!(
            scene.eval(&Udp::default(), text, Lang::Kfl2),
            Outcome::True,
            "{text}"
        );
    }
    // a pod that is not known is missing in KFL1, which shows the entry as it is
    let text = r#"dst.pod.metadata.name == "card""#;
    assert_eq!(
        scene.eval(&Udp::default(), text, Lang::Kfl1),
        Outcome::False
    );
}

#[test]
fn capture_sources_have_their_numbers() {
    for (backend, source, code) in [
        ("af_packet", "af_packet", 1),
        ("ebpf", "ebpf", 2),
        ("pcap", "unspecified", 0),
    ] {
        let mut scene = Scene::bare();
        scene.origin.backend = backend;
        let text = format!("capture_source == \"{source}\" && capture_source_code == {code}");
        assert_eq!(
            scene.eval(&Udp::default(), &text, Lang::Kfl2),
            Outcome::True,
            "{text}"
        );
    }
}

#[test]
fn what_no_protocol_has_is_refused() {
    let env = Env::new(&gillnet_protocols::env());
    for text in [
        "response.nosuch == 5",
        "request.nosuch == 5",
        r#"response["nosuch"] == 5"#,
        "http and response.status.nosuch == 5",
    ] {
        for lang in [Lang::Kfl1, Lang::Kfl2, Lang::Auto] {
            let options = Options {
                lang,
                ..Options::default()
            };
            assert!(compile(&env, text, &options).is_err(), "{lang:?} {text}");
        }
    }
    for text in [
        r#"response["status"] == 500"#,
        r#"request["headers"]["Host"] == "a""#,
    ] {
        let options = Options {
            lang: Lang::Kfl1,
            ..Options::default()
        };
        let filter = compile(&env, text, &options).unwrap_or_else(|e| panic!("{}", e.render(text)));
        let http = gillnet_protocols::index("http").unwrap();
        assert!(filter.protocols().contains(http), "{text}");
    }
}
