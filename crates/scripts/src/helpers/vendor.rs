//! `vendor.*`, `chatgpt.*` and `fetch`: what scripts send to others. Each call blocks, and its time is not the script's
//! own; with `dry_run` it is said on the console and not made.

use super::args::{self, Args, Helper};
use super::file::content;
use crate::engine;
use crate::local::Local;
use crate::vendor::{
    Azure, Content, Elastic, Error, Fetch, Influx, Kafka, KafkaMessage, Redirects, S3Clear, S3Put,
    Signal, SlackMessage, Upload, Vendors,
};
use rquickjs::object::Property;
use rquickjs::{Ctx, Exception, Function, Object, Result, String as Text, TypedArray, Value};
use serde_json::{Map, Value as Json};
use std::rc::Rc;

type Sent<T> = std::result::Result<T, Error>;

/// Throws what a vendor call came to: an `Error` with the message and, where there was an answer, its `status`.
fn thrown(ctx: &Ctx<'_>, error: &Error) -> rquickjs::Error {
    match Exception::from_message(ctx.clone(), &error.to_string()) {
        Ok(exception) => {
            if let Some(status) = error.status {
                // an Error that can't be given a member is thrown without it
                let _ = exception.as_object().set("status", status);
            }
            exception.throw()
        }
        Err(error) => error,
    }
}

/// Makes a call; in a dry run says what it would have been, and gives `dry`.
fn send<'js, T>(
    args: &Args<'js>,
    local: &Local,
    says: &str,
    dry: T,
    go: impl FnOnce(&Vendors) -> Sent<T>,
) -> Result<T> {
    if local.host.dry_run {
        local.log(&format!("(dry run) {}: {says}", args.helper));
        return Ok(dry);
    }
    local
        .outside(|host| go(&host.given().vendors))
        .map_err(|error| thrown(&args.ctx, &error))
}

/// Opens a file of the data directory, to be sent.
fn upload(args: &Args<'_>, local: &Local, path: &str) -> Result<Upload> {
    let file = local.outside(|host| host.files.read(path));
    let file = file.map_err(|error| args.fail(format!("{}: {error}", args.helper)))?;
    Ok(Upload {
        name: path.to_owned(),
        content: Content::File(file),
    })
}

/// An upload with its line on the console; gives its URL.
fn put<'js>(
    args: &Args<'js>,
    local: &Local,
    bucket: &str,
    path: &str,
    go: impl FnOnce(&Vendors, Upload) -> Sent<String>,
) -> Result<Value<'js>> {
    let file = upload(args, local, path)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let dry = format!("dry-run:/{bucket}/{name}");
    let says = format!("{path} to {bucket}");
    let url = send(args, local, &says, dry, |vendors| go(vendors, file))?;
    if !local.host.dry_run {
        local.log(&format!("Uploaded the file \"{path}\": {url}"));
    }
    text(&args.ctx, &url)
}

fn text<'js>(ctx: &Ctx<'js>, text: &str) -> Result<Value<'js>> {
    Ok(Text::from_str(ctx.clone(), text)?.into_value())
}

fn undefined<'js>(args: &Args<'js>) -> Value<'js> {
    Value::new_undefined(args.ctx.clone())
}

/// All arguments as texts; what is not there is empty.
fn texts(args: &Args<'_>) -> Result<Vec<String>> {
    (0..args.len())
        .map(|at| Ok(args.maybe_text(at, "argument")?.unwrap_or_default()))
        .collect()
}

/// An argument that is an object; empty where it is not there.
fn map(args: &Args<'_>, at: usize, name: &str) -> Result<Map<String, Json>> {
    match args.json(at)? {
        Json::Object(map) => Ok(map),
        Json::Null => Ok(Map::new()),
        _ => Err(args.wrong(at, name, "must be an object")),
    }
}

/// A service account's key: an object, or its JSON.
fn key(args: &Args<'_>, at: usize, name: &str) -> Result<Option<String>> {
    Ok(match args.get(at) {
        Some(value) if value.is_object() => Some(args.json(at)?.to_string()),
        _ => args.maybe_text(at, name)?.filter(|key| !key.is_empty()),
    })
}

/// An object that shows as its JSON where it is put together with text.
fn shown<'js>(ctx: &Ctx<'js>, json: &Json) -> Result<Value<'js>> {
    let value = ctx.json_parse(json.to_string())?;
    if let Some(object) = value.as_object() {
        let shown = json.to_string();
        let show = Function::new(ctx.clone(), move || shown.clone())?;
        object.prop("toString", Property::from(show).writable().configurable())?;
    }
    Ok(value)
}

/// The dashboard's old address of `hub.targeted()`, which scripts ask over HTTP.
fn is_targeted(method: &str, url: &str) -> bool {
    let rest = url.strip_prefix("http://kubeshark-hub");
    let path = rest.map(|rest| rest.trim_start_matches(":80").trim_end_matches('/'));
    method.eq_ignore_ascii_case("get")
        && matches!(path, Some("/pods/targeted" | "/api/pods/targeted"))
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, local: &Rc<Local>) -> Result<()> {
    let vendor = Helper::named(ctx, "vendor")?;
    http(ctx, &vendor, local)?;
    services(&vendor, local)?;
    streams(&vendor, local)?;
    stores(&vendor, local)?;

    let chatgpt = Helper::named(ctx, "chatgpt")?;
    let mine = Rc::clone(local);
    chatgpt.add("chatgpt.prompt", move |args| {
        let (api_key, prompt) = (args.text(0, "apiKey")?, args.text(1, "prompt")?);
        let tokens = match args.get(2) {
            Some(_) => args.number(2, "maxTokens")?,
            None => 1024.0,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
        let tokens = Some(tokens as u64);
        let model = args.maybe_text(3, "model")?;
        let answer = send(args, &mine, &prompt, String::new(), |vendors| {
            vendors.chatgpt_prompt(&api_key, &prompt, tokens, model.as_deref())
        })?;
        text(&args.ctx, answer.trim())
    })?;
    chatgpt.add("chatgpt.sentiment", |args| {
        Err(args.fail(
            "chatgpt.sentiment: no lexicon of sentiments comes with Gillnet; ask chatgpt.prompt",
        ))
    })
}

fn http<'js>(ctx: &Ctx<'js>, vendor: &Helper<'js>, local: &Rc<Local>) -> Result<()> {
    let mine = Rc::clone(local);
    vendor.add("vendor.webhook", move |args| {
        let (method, url) = (args.text(0, "method")?, args.text(1, "url")?);
        let body = match args.get(2) {
            Some(_) => content(&args.ctx, args.get(2))?,
            None => String::new(),
        };
        let headers = map(args, 3, "headers")?;
        if is_targeted(&method, &url) {
            let targeted = mine.outside(|host| host.cluster.targeted());
            let targeted = targeted.map_err(|error| args.fail(format!("{url}: {error}")))?;
            return text(&args.ctx, &targeted.to_string());
        }
        let says = format!("{method} {url} with {} bytes", body.len());
        let answer = send(args, &mine, &says, String::new(), |vendors| {
            vendors.webhook(&method, &url, &body, &headers)
        })?;
        text(&args.ctx, &answer)
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.webhookForm", move |args| {
        let (method, url) = (args.text(0, "method")?, args.text(1, "url")?);
        let form = map(args, 2, "form")?;
        let says = format!("{method} {url} with {} fields", form.len());
        let answer = send(args, &mine, &says, String::new(), |vendors| {
            vendors.webhook_form(&method, &url, &form)
        })?;
        text(&args.ctx, &answer)
    })?;
    let mine = Rc::clone(local);
    // what `fetch` is made of, in the prelude; taken out of the globals there
    Helper::globals(ctx).add("fetch", move |args| fetch(args, &mine))
}

fn fetch<'js>(args: &Args<'js>, local: &Local) -> Result<Value<'js>> {
    let url = args.text(0, "url")?;
    let options = args.get(1).and_then(Value::as_object);
    let option = |name: &str| match options {
        Some(options) => options.get::<_, Value<'js>>(name).map(Some),
        None => Ok(None),
    };
    let named = |value: Option<Value<'js>>| {
        let value = value.filter(|value| !value.is_undefined() && !value.is_null());
        value.map(|value| engine::text(&args.ctx, &value))
    };
    let method = named(option("method")?).unwrap_or_default();
    let headers = match option("headers")?.filter(Value::is_object) {
        Some(headers) => args::json(&args.ctx, &headers)?,
        None => Json::Null,
    };
    let headers = match headers {
        Json::Object(headers) => headers.into_iter().collect(),
        Json::Array(pairs) => {
            let pair = |pair: Json| {
                let name = pair.get(0)?.as_str()?.to_owned();
                Some((name, pair.get(1)?.clone()))
            };
            pairs.into_iter().filter_map(pair).collect()
        }
        _ => Vec::new(),
    };
    let headers = headers.into_iter().map(|(name, value)| {
        let value = match value {
            Json::String(value) => value,
            other => other.to_string(),
        };
        (name, value)
    });
    let body = match option("body")?.filter(|body| !body.is_undefined() && !body.is_null()) {
        Some(body) => Some(match TypedArray::<u8>::from_value(body.clone()) {
            Ok(bytes) => (0..bytes.len())
                .map(|at| bytes.as_object().get(u32::try_from(at).unwrap_or(u32::MAX)))
                .collect::<Result<Vec<u8>>>()?,
            Err(_) => content(&args.ctx, Some(&body))?.into_bytes(),
        }),
        None => None,
    };
    let redirects = match named(option("redirect")?).as_deref() {
        Some("error") => Redirects::Error,
        Some("manual") => Redirects::Manual,
        _ => Redirects::Follow,
    };
    let says = format!("{} {url}", if method.is_empty() { "GET" } else { &method });
    let fetch = Fetch {
        method,
        url,
        headers: headers.collect(),
        body,
        redirects,
    };
    let dry = crate::vendor::Fetched {
        status: 204,
        status_text: "No Content",
        headers: Vec::new(),
        body: Vec::new(),
        url: fetch.url.clone(),
        redirected: false,
    };
    let fetched = send(args, local, &says, dry, |vendors| vendors.fetch(fetch))?;
    let ctx = &args.ctx;
    let object = Object::new(ctx.clone())?;
    object.set("status", fetched.status)?;
    object.set("statusText", fetched.status_text)?;
    object.set("url", fetched.url)?;
    object.set("redirected", fetched.redirected)?;
    object.set(
        "headers",
        ctx.json_parse(serde_json::json!(fetched.headers).to_string())?,
    )?;
    object.set("text", String::from_utf8_lossy(&fetched.body).into_owned())?;
    object.set("bytes", TypedArray::<u8>::new(ctx.clone(), fetched.body)?)?;
    Ok(object.into_value())
}

fn services<'js>(vendor: &Helper<'js>, local: &Rc<Local>) -> Result<()> {
    let mine = Rc::clone(local);
    vendor.add("vendor.slack", move |args| {
        let webhook = args.text(0, "webhookUrl")?;
        let given = texts(args)?;
        let at = |at: usize| given.get(at).map_or("", String::as_str);
        let message = SlackMessage {
            pretext: at(1),
            text: at(2),
            color: at(3),
            ..SlackMessage::default()
        };
        send(args, &mine, at(1), (), |vendors| {
            vendors.slack(&webhook, &message)
        })?;
        Ok(undefined(args))
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.slackBot", move |args| {
        let (token, channel) = (args.text(0, "token")?, args.text(1, "channelID")?);
        let part =
            |at, name| Ok::<_, rquickjs::Error>(args.maybe_text(at, name)?.unwrap_or_default());
        let (pretext, said, color) = (part(2, "pretext")?, part(3, "text")?, part(4, "color")?);
        let fields = map(args, 5, "fields")?;
        let mut files = Vec::new();
        for (name, path) in map(args, 6, "files")? {
            let Json::String(path) = path else {
                return Err(args.wrong(6, "files", "must have a path for each name"));
            };
            files.push((name, upload(args, &mine, &path)?));
        }
        let says = format!("to {channel}: {pretext}, with {} files", files.len());
        let message = SlackMessage {
            pretext: &pretext,
            text: &said,
            color: &color,
            fields,
            files,
        };
        send(args, &mine, &says, (), |vendors| {
            vendors.slack_bot(&token, &channel, message)
        })?;
        mine.log(&format!("Posted a message to the Slack channel {channel}"));
        Ok(undefined(args))
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.influxdb", move |args| {
        let url = args.text(0, "url")?;
        let (token, org) = (args.text(1, "token")?, args.text(2, "organization")?);
        let (bucket, measurement) = (args.text(3, "bucket")?, args.text(4, "measurement")?);
        let (fields, tags) = (map(args, 5, "fields")?, map(args, 6, "tags")?);
        let to = Influx {
            url: &url,
            token: &token,
            org: &org,
            bucket: &bucket,
        };
        let says = format!("{measurement} to {url}");
        send(args, &mine, &says, (), |vendors| {
            vendors.influxdb(to, &measurement, &fields, &tags)
        })?;
        Ok(undefined(args))
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.elastic", move |args| {
        let url = args.maybe_text(0, "url")?.unwrap_or_default();
        let index = args.text(1, "index")?;
        let document = args.json(2)?;
        let part =
            |at, name| Ok::<_, rquickjs::Error>(args.maybe_text(at, name)?.unwrap_or_default());
        let (username, password) = (part(3, "username")?, part(4, "password")?);
        let (cloud_id, api_key) = (part(5, "cloudID")?, part(6, "apiKey")?);
        let (service_token, cert_fingerprint) =
            (part(7, "serviceToken")?, part(8, "certFingerprint")?);
        let to = Elastic {
            url: &url,
            username: &username,
            password: &password,
            cloud_id: &cloud_id,
            api_key: &api_key,
            service_token: &service_token,
            cert_fingerprint: &cert_fingerprint,
        };
        let says = format!("a document to {index}");
        let id = send(args, &mine, &says, "dry-run".to_owned(), |vendors| {
            vendors.elastic(to, &index, &document)
        })?;
        text(&args.ctx, &id)
    })?;
    let kinesis = vendor.within("kinesis")?;
    let mine = Rc::clone(local);
    kinesis.add("vendor.kinesis.put", move |args| {
        let stream = args.text(0, "streamName")?;
        let payload = content(&args.ctx, args.get(1))?;
        let part =
            |at, name| Ok::<_, rquickjs::Error>(args.maybe_text(at, name)?.unwrap_or_default());
        let (region, id, secret) = (part(2, "region")?, part(3, "keyID")?, part(4, "accessKey")?);
        let says = format!("{} bytes to {stream}", payload.len());
        let dry = serde_json::json!({"SequenceNumber": "0", "ShardId": "dry-run"});
        let result = send(args, &mine, &says, dry, |vendors| {
            vendors.kinesis_put(&stream, payload.as_bytes(), &region, &id, &secret)
        })?;
        shown(&args.ctx, &result)
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.pubsub", move |args| {
        let topic = args.text(0, "topic")?;
        let payload = content(&args.ctx, args.get(1))?;
        let (key, attributes) = (key(args, 2, "key")?, map(args, 3, "attributes")?);
        let says = format!("{} bytes to {topic}", payload.len());
        let id = send(args, &mine, &says, "dry-run".to_owned(), |vendors| {
            vendors.pubsub(&topic, payload.as_bytes(), key.as_deref(), &attributes)
        })?;
        text(&args.ctx, &id)
    })
}

/// `vendor.kafka` and `vendor.otlp`.
fn streams<'js>(vendor: &Helper<'js>, local: &Rc<Local>) -> Result<()> {
    let mine = Rc::clone(local);
    vendor.add("vendor.kafka", move |args| {
        let (brokers, topic) = (args.text(0, "brokers")?, args.text(1, "topic")?);
        let messages = messages(args)?;
        let options = map(args, 3, "options")?;
        let option = |name: &str| options.get(name).and_then(Json::as_str).unwrap_or_default();
        let to = Kafka {
            brokers: &brokers,
            tls: options
                .get("tls")
                .and_then(Json::as_bool)
                .unwrap_or_default(),
            mechanism: option("mechanism"),
            username: option("username"),
            password: option("password"),
        };
        let says = format!("{} messages to {topic}", messages.len());
        let places = send(args, &mine, &says, Vec::new(), |vendors| {
            vendors.kafka(&to, &topic, messages)
        })?;
        let places: Vec<_> = places
            .iter()
            .map(|place| serde_json::json!({"partition": place.partition, "offset": place.offset}))
            .collect();
        args.ctx.json_parse(Json::from(places).to_string())
    })?;
    let mine = Rc::clone(local);
    vendor.add("vendor.otlp", move |args| {
        let url = args.text(0, "url")?;
        let signal = Signal::parse(&args.text(1, "signal")?);
        let signal = signal.map_err(|error| thrown(&args.ctx, &error))?;
        let data = args.json(2)?;
        let options = map(args, 3, "options")?;
        let part = |name: &str| match options.get(name) {
            Some(Json::Object(part)) => part.clone(),
            _ => Map::new(),
        };
        let (headers, resource) = (part("headers"), part("resource"));
        let says = format!("{signal:?} to {url}");
        send(args, &mine, &says, (), |vendors| {
            vendors.otlp(&url, signal, &data, &headers, &resource)
        })?;
        Ok(undefined(args))
    })
}

/// Messages for Kafka: one or a list, each a text, or an object with `value` and perhaps `key` and `headers`, or any
/// other object, which is sent as JSON.
fn messages(args: &Args<'_>) -> Result<Vec<KafkaMessage>> {
    let bytes = |value: &Json| match value {
        Json::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let message = |json: &Json| match json.get("value") {
        Some(value) => KafkaMessage {
            key: json.get("key").filter(|key| !key.is_null()).map(bytes),
            value: bytes(value),
            headers: match json.get("headers") {
                Some(Json::Object(headers)) => {
                    let text = |value| String::from_utf8_lossy(&bytes(value)).into_owned();
                    headers
                        .iter()
                        .map(|(name, value)| (name.clone(), text(value)))
                        .collect()
                }
                _ => Vec::new(),
            },
        },
        None => KafkaMessage {
            value: bytes(json),
            ..KafkaMessage::default()
        },
    };
    match args.json(2)? {
        Json::Null => Err(args.wrong(2, "messages", "is missing")),
        Json::Array(list) => Ok(list.iter().map(message).collect()),
        one => Ok(vec![message(&one)]),
    }
}

fn stores<'js>(vendor: &Helper<'js>, local: &Rc<Local>) -> Result<()> {
    let s3 = vendor.within("s3")?;
    let mine = Rc::clone(local);
    s3.add("vendor.s3.put", move |args| {
        let given = texts(args)?;
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let to = S3Put::read(&given, &|path| mine.host.files.is_there(path))
            .map_err(|error| thrown(&args.ctx, &error))?;
        put(args, &mine, &to.bucket, &to.path, |vendors, file| {
            vendors.s3_put(&to, file)
        })
    })?;
    let mine = Rc::clone(local);
    s3.add("vendor.s3.clear", move |args| {
        let given = texts(args)?;
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        let at = S3Clear::read(&given).map_err(|error| thrown(&args.ctx, &error))?;
        send(args, &mine, &at.bucket, 0, |vendors| vendors.s3_clear(&at))?;
        Ok(undefined(args))
    })?;
    let gcs = vendor.within("gcs")?;
    let mine = Rc::clone(local);
    gcs.add("vendor.gcs.put", move |args| {
        let (bucket, path) = (args.text(0, "bucket")?, args.text(1, "path")?);
        let key = key(args, 2, "saKeyJson")?;
        put(args, &mine, &bucket, &path, |vendors, file| {
            vendors.gcs_put(&bucket, file, key.as_deref())
        })
    })?;
    let mine = Rc::clone(local);
    gcs.add("vendor.gcs.clear", move |args| {
        let bucket = args.text(0, "bucket")?;
        let key = key(args, 1, "saKeyJson")?;
        send(args, &mine, &bucket, 0, |vendors| {
            vendors.gcs_clear(&bucket, key.as_deref())
        })?;
        Ok(undefined(args))
    })?;
    let azure = vendor.within("azure")?;
    let mine = Rc::clone(local);
    azure.add("vendor.azure.put", move |args| {
        let (container, path) = (args.text(0, "container")?, args.text(1, "path")?);
        let given = texts(args)?;
        let azure = azure_at(&given, 2);
        put(args, &mine, &container, &path, |vendors, file| {
            vendors.azure_put(&container, file, azure)
        })
    })?;
    let mine = Rc::clone(local);
    azure.add("vendor.azure.clear", move |args| {
        let container = args.text(0, "container")?;
        let given = texts(args)?;
        let azure = azure_at(&given, 1);
        send(args, &mine, &container, 0, |vendors| {
            vendors.azure_clear(&container, azure)
        })?;
        Ok(undefined(args))
    })
}

/// The arguments that say which storage account, from one on.
fn azure_at(given: &[String], from: usize) -> Azure<'_> {
    let at = |at: usize| given.get(from + at).map_or("", String::as_str);
    Azure {
        account: at(0),
        key: at(1),
        connection_string: at(2),
    }
}
