// The helpers that are ways of using others. Runs once in every interpreter, before the script.
(function ({ kfl, file, pcap, jobs, vendor, console, env, request }) {
  const { stringify } = JSON;
  const System = Date, { now } = Date;

  // Counts of two maps together: numbers are added, maps joined, and of anything else the second counts.
  function joinMaps(a, b) {
    const joined = {};
    for (const map of [a, b]) {
      for (const [key, value] of Object.entries(map ?? {})) {
        const before = Object.hasOwn(joined, key) ? joined[key] : undefined;
        if (typeof before === "number" && typeof value === "number") joined[key] = before + value;
        else if (isMap(value)) joined[key] = joinMaps(isMap(before) ? before : {}, value);
        else joined[key] = value;
      }
    }
    return joined;
  }

  function isMap(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
  }

  // Objects of headers and the like as HAR has them. A value that is a list stands once for each of it.
  function pairs(map) {
    return Object.entries(map ?? {}).flatMap(([name, values]) =>
      [values].flat().map((value) => ({ name, value: String(value) })));
  }

  // HAR 1.2 of HTTP entries.
  function buildHAR(entries) {
    const har = [];
    for (const data of entries ?? []) {
      const { request, response } = data ?? {};
      const missing = !request?.method ? "request.method" : !data.dst?.name ? "dst.name" : response?.status == null ? "response.status" : null;
      if (missing) {
        console.error(`wrapper.buildHAR: an entry without ${missing} is left out`);
        continue;
      }
      const time = data.elapsedTime / 1000;
      const entry = {
        startedDateTime: data.startTime,
        time,
        request: {
          method: request.method,
          url: `${data.tls ? "https" : "http"}://${data.dst.name}${request.url ?? "/"}`,
          httpVersion: request.httpVersion ?? "",
          cookies: pairs(request.cookies),
          headers: pairs(request.headers),
          queryString: pairs(request.queryString),
          headersSize: request.headersSize ?? -1,
          bodySize: request.bodySize ?? -1,
        },
        response: {
          status: response.status,
          statusText: response.statusText ?? "",
          httpVersion: response.httpVersion ?? "",
          cookies: pairs(response.cookies),
          headers: pairs(response.headers),
          content: { size: 0, mimeType: "", ...response.content },
          redirectURL: response.redirectURL ?? "",
          headersSize: response.headersSize ?? -1,
          bodySize: response.bodySize ?? -1,
        },
        cache: {},
        timings: { send: 0, wait: time, receive: 0 },
        serverIPAddress: data.dst.ip,
      };
      if (request.postData) {
        const { mimeType = "", text = "", params } = request.postData;
        entry.request.postData = params?.length ? { mimeType, params, text } : { mimeType, text };
      }
      har.push(entry);
    }
    return stringify({ log: { version: "1.2", creator: { name: "Gillnet", version: "1" }, entries: har } });
  }

  // A snapshot of all streams, with the names, to S3 in one call.
  function pcapSnapshot(region, keyID, accessKey, bucket) {
    const dir = file.mkdirTemp("snapshot");
    try {
      file.move(pcap.snapshot(), dir);
      file.write(`${dir}/name_resolution_history.json`, stringify(pcap.nameResolutionHistory()));
      const tar = file.tar(dir);
      try {
        return vendor.s3.put(region, keyID, accessKey, bucket, tar);
      } finally {
        file.delete(tar);
      }
    } finally {
      file.delete(dir);
    }
  }

  // Records the streams of entries that match filters, each filter for itself, and uploads them to S3 from time to time.
  const recorder = { job: "kfl-pcap-s3", params: null, queries: null, log: null, logged: 0 };
  const HOUR = 3600_000;

  function begin(given) {
    const params = {
      awsRegion: env.AWS_REGION,
      awsAccessKeyId: env.AWS_ACCESS_KEY_ID,
      awsSecretAccessKey: env.AWS_SECRET_ACCESS_KEY,
      s3Bucket: env.S3_BUCKET,
      slackWebhook: env.SLACK_WEBHOOK,
      slackAuthToken: env.SLACK_AUTH_TOKEN,
      slackChannelId: env.SLACK_CHANNEL_ID,
      active: true,
      verbose: false,
      clear: false,
      maxMinutes: 60,
      maxL4Streams: 100000,
    };
    for (const [key, value] of Object.entries(given ?? {})) if (value != null) params[key] = value;
    recorder.params = params;
    const wanted = ["kflArr", "awsRegion", "awsAccessKeyId", "awsSecretAccessKey", "s3Bucket"];
    const missing = wanted.filter((name) => !params[name] || params[name].length === 0);
    if (missing.length > 0) {
      console.error(`wrapper.kflPcapS3: ${missing.join(", ")} must be given; nothing is recorded`);
      params.active = false;
    }
    if (!params.active) return;
    if (params.clear) {
      vendor.s3.clear(params.awsRegion, params.awsAccessKeyId, params.awsSecretAccessKey, params.s3Bucket);
    }
    recorder.queries = params.kflArr.map((query, index) => ({ query, index, dir: `kfl_pcap_s3_${index}`, streams: new Set(), since: now() }));
    for (const { dir } of recorder.queries) {
      file.delete(dir);
      file.mkdir(dir);
    }
    recorder.log = [];
    recorder.logged = now();
    jobs.schedule(recorder.job, "*/30 * * * * *", () => {
      for (const query of recorder.queries) {
        const due = now() - query.since >= params.maxMinutes * 60_000;
        if (due || query.streams.size > params.maxL4Streams) upload(query, params);
      }
      if (recorder.log.length > 0 && now() - recorder.logged >= HOUR) uploadLog(params);
    });
  }

  function upload(query, params) {
    query.since = now();
    const streams = [...query.streams];
    if (streams.length === 0) return;
    // what came since a stream was first kept, where it is still there
    for (const stream of streams) {
      try { file.copy(pcap.path(stream), `${query.dir}/${stream}`); } catch (_) { /* the first copy stays */ }
    }
    query.streams.clear();
    const dir = file.mkdirTemp("kfl_pcap_s3");
    let tar = null;
    try {
      const snapshot = pcap.snapshot([], query.dir);
      file.move(snapshot, dir);
      const time = new System().toISOString();
      file.write(`${dir}/name_resolution_history.json`, stringify(pcap.nameResolutionHistory()));
      file.write(`${dir}/content.json`, stringify({
        kfl_index: query.index, kfl_query: query.query, l4_streams: streams, pcap_file_name: snapshot, time,
      }));
      const packed = file.tar(dir);
      tar = `kfl_${query.index}_${packed}`;
      file.move(packed, tar);
      const url = vendor.s3.put(params.awsRegion, params.awsAccessKeyId, params.awsSecretAccessKey, params.s3Bucket, tar);
      recorder.log.push({ file: tar, kfl_index: query.index, kfl_query: query.query, s3_url: url, time });
      const said = `${streams.length} streams that match ${query.query}: ${url}`;
      if (params.verbose) console.log(said);
      if (params.slackWebhook) vendor.slack(params.slackWebhook, "A new recording", said, "#36a64f");
      if (params.slackAuthToken && params.slackChannelId) {
        vendor.slackBot(params.slackAuthToken, params.slackChannelId, "A new recording", said, "#36a64f", { KFL: query.query, Streams: String(streams.length) }, {});
      }
    } finally {
      file.delete(dir);
      if (tar) file.delete(tar);
      file.delete(query.dir);
      file.mkdir(query.dir);
    }
  }

  function uploadLog(params) {
    recorder.logged = now();
    const name = `kfl_pcap_s3_log_${Math.floor(now() / 1000)}.json`;
    file.write(name, stringify(recorder.log));
    try {
      vendor.s3.put(params.awsRegion, params.awsAccessKeyId, params.awsSecretAccessKey, params.s3Bucket, name);
      recorder.log = [];
    } finally {
      file.delete(name);
    }
  }

  function kflPcapS3(data, params) {
    if (!recorder.params) begin(params);
    if (!recorder.params.active) return;
    for (const { query, dir, streams } of recorder.queries) {
      if (streams.has(data.stream) || !kfl.match(query, data)) continue;
      streams.add(data.stream);
      file.copy(pcap.path(data.stream), `${dir}/${data.stream}`);
    }
  }

  // fetch() as browsers have it, as far as scripts need it. The request itself is made at once, and blocks.
  async function fetch(url, options) {
    const { status, statusText, url: from, redirected, headers, text, bytes } = request(url, options);
    const all = new Map();
    for (const [name, value] of headers) all.set(name, all.has(name) ? `${all.get(name)}, ${value}` : value);
    return {
      status,
      statusText,
      ok: status >= 200 && status < 300,
      url: from,
      redirected,
      headers: {
        get: (name) => all.get(String(name).toLowerCase()) ?? null,
        has: (name) => all.has(String(name).toLowerCase()),
        entries: () => all.entries(),
        [Symbol.iterator]: () => all.entries(),
      },
      text: async () => text,
      json: async () => JSON.parse(text),
      bytes: async () => bytes,
      arrayBuffer: async () => bytes.buffer,
    };
  }

  return { wrapper: { buildHAR, joinMaps, pcapSnapshot, kflPcapS3 }, fetch };
})
