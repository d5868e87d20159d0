// Declarations of what Gillnet's scripts find in their globals. The reference is docs/scripts.md.

/** One dissected exchange: a request with its response, or one of both. Names in Go (`data.Protocol.Name`) answer, too. */
interface Entry {
  /** `<worker>/<stream>-<index>` */
  id: string;
  index: number;
  /** Name of the stream's capture: `000000017720.pcap`. Give it to `pcap.path`. */
  stream: string;
  /** `ip:port` */
  worker: string;
  node: { ip: string; name: string };
  protocol: Protocol;
  /** Whether the bytes were taken outside encryption. */
  tls: boolean;
  src: Peer;
  dst: Peer;
  /** Time of the request's first packet, ms since the epoch. */
  timestamp: number;
  /** The same as RFC 3339 with nanoseconds. */
  startTime: string;
  /** From the request's first to the response's last packet, in µs; 0 where one is missing. */
  elapsedTime: number;
  requestSize: number;
  responseSize: number;
  size: number;
  /** By protocol: for HTTP method, url, path, headers, …; null where only the response was seen. */
  request: any;
  /** By protocol: for HTTP status, headers, content, …; null where only the request was seen. */
  response: any;
  /** Of protocols with one message: `data.data.payload`. */
  data?: any;
  error: { type: "dissection" | "connection" | "timeout" | "pair-not-found"; msg: string } | null;
  passed: boolean;
  failed: boolean;
  /** `000000017720_pcap-0_entry.json` */
  entryFile: string;
  /** The recordings it is in, a line each; empty where none is known to keep it. */
  record: string;
  capture: { backend: string; source: string };
  /** Bytes of the stream that are missing from this entry. */
  missingBytes?: number;
  /** Since when the recording of the stream is whole. */
  truncatedBefore?: string;
  [name: string]: any;
}

interface Protocol {
  name: string;
  version: string;
  abbr: string;
  longName: string;
  macro: string;
  backgroundColor: string;
  foregroundColor: string;
  fontSize: number;
  referenceLink: string;
  ports: string[];
  layer3: string;
  layer4: string;
  priority: number;
}

/** One end. Names that are not known are "". */
interface Peer {
  ip: string;
  port: string;
  name: string;
  namespace: string;
  pod: { metadata: { name: string; namespace: string } } | null;
  endpointSlice: null;
  service: { metadata: { name: string; namespace: string } } | null;
  resolutionMechanism: string;
  [name: string]: any;
}

interface PacketInfo {
  /** RFC 3339 */
  timestamp: string;
  captureLength: number;
  length: number;
  truncated: boolean;
  fragmented: boolean;
}

/** The values of `scripting.env`. Each key is a global, too. */
declare const env: { readonly [key: string]: any };

// Hooks: define those that you need.

/** A packet came in. */
declare function onPacketCaptured(info: PacketInfo): void;
/** An entry was dissected. It may be kept beyond the call. */
declare function onItemCaptured(data: Entry): void;
/** An entry is shown; what is returned is shown instead. */
declare function onItemQueried(data: Entry, filter: string): Entry | void;
/** A job of any script passed. `limit` is 0 for none. */
declare function onJobPassed(tag: string, cron: string, limit: number): void;
/** A job of any script failed. */
declare function onJobFailed(tag: string, cron: string, limit: number, err: string): void;
/** On the hub: a script called `hub.action`. */
declare function onHubAction(action: string, object: any): void;
/** A pod was "ADDED", "MODIFIED" or "DELETED". Names are Go's: `pod.ObjectMeta.Labels`. */
declare function onPodEvent(event: string, pod: any): void;
/** Gillnet itself logged. */
declare function onLogCall(level: "info" | "warning" | "error", msg: any): void;

declare const console: {
  log(...values: any[]): void;
  error(...values: any[]): void;
  /** Clears the console of everyone. */
  clear(): void;
};

/** Calls later, once; gives a number for `clearTimeout`. */
declare function setTimeout(callback: (...args: any[]) => void, ms?: number, ...args: any[]): number;
/** Calls again and again. */
declare function setInterval(callback: (...args: any[]) => void, ms?: number, ...args: any[]): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;

declare const kfl: {
  /** Whether an entry, as it was captured, matches. Throws where the query is none. The empty one matches everything. */
  match(query: string, data: Entry): boolean;
  /** Whether a query is one; says why not on the console, unless quiet. */
  validate(query: string, quiet?: boolean): boolean;
};

/** Files of the scripts' data directory. Paths are relative to it. */
declare const file: {
  write(path: string, content: any): void;
  append(path: string, content: any): void;
  /** Renames a file or folder; into `newPath` where that is a folder. */
  move(oldPath: string, newPath: string): void;
  copy(srcPath: string, dstPath: string): void;
  /** Removes a file or folder; one that is not there is no error. */
  delete(path: string): void;
  mkdir(path: string): void;
  /** A new folder `<dir>/<name><digits>`. */
  mkdirTemp(name?: string, dir?: string): string;
  /** A new file `<dir>/<name><digits>.<ext>`. */
  temp(name?: string, dir?: string, ext?: string): string;
  /** Packs a folder into `kubeshark_<unix seconds>.tar.gz`. */
  tar(dir: string): string;
};

declare const pcap: {
  /** Path of a stream's capture. It is written when it is opened: with all packets so far. */
  path(stream: string): string;
  /** Merges captures in time order into `<unix seconds>.pcap`: those of the streams named, or of a folder. */
  snapshot(selected?: string[], dir?: string): string;
  /** What addresses are and were called: by unix second, by address. */
  nameResolutionHistory(): { [second: string]: { [address: string]: { FullAddress: string; Namespace: string } } };
};

declare const jobs: {
  /** Has a function called by a cron pattern with seconds, in UTC, or `@every 5s`. */
  schedule(tag: string, cron: string, task: (...args: any[]) => void, limit?: number, ...args: any[]): void;
  remove(tag: string): void;
  removeAll(): void;
  list(): string[];
  run(tag: string): void;
  runAll(): void;
  scheduler: { isRunning(): boolean; start(): void; stop(): void };
};

declare const test: {
  pass<T>(data: T): T;
  fail<T>(data: T): T;
};

declare const utils: {
  /** The node's name; "hub" on the hub. */
  nodeName(): string;
  json2Yaml(json: string): string;
};

declare const hub: {
  /** Calls `onHubAction` of all scripts on the hub. */
  action(action: string, object?: any): void;
  /** JSON: `{targets: [pod], excluded: [pod]}` */
  targeted(): string;
  blockPod(podName: string, namespace: string): string;
};

declare const prometheus: {
  /** type: 1 counter (values are added up), 2 gauge. Gives "ok", or what is wrong. */
  vector(name: string, help: string, type: 1 | 2 | 3, value: number, labels?: { [name: string]: any }): string;
  /** type: 1 counter (values are added up), 2 gauge, 3 untyped. */
  metric(name: string, help: string, type: 1 | 2 | 3, value: number, labels?: { [name: string]: any }): string;
};

/** A service account's key of Google Cloud: the object, or its JSON. */
type ServiceAccountKey = object | string;

/** A text, or any object, which is sent as JSON; with `value`, a message with key and headers. */
type KafkaMessage = string | { key?: any; value: any; headers?: { [name: string]: any } } | object;

declare const vendor: {
  /** Gives the answer's body, whatever its status. */
  webhook(method: string, url: string, body?: any, headers?: { [name: string]: string }): string;
  /** The fields as multipart/form-data. */
  webhookForm(method: string, url: string, form: { [field: string]: string }): string;
  slack(webhookUrl: string, pretext: string, text: string, color: string): void;
  slackBot(
    token: string,
    channelID: string,
    pretext: string,
    text: string,
    color: string,
    fields?: { [title: string]: string },
    files?: { [name: string]: string },
  ): void;
  influxdb(
    url: string,
    token: string,
    organization: string,
    bucket: string,
    measurement: string,
    fields: { [name: string]: any },
    tags?: { [name: string]: any },
  ): void;
  /** Gives the document's id. */
  elastic(
    url: string,
    index: string,
    data: object,
    username?: string,
    password?: string,
    cloudID?: string,
    apiKey?: string,
    serviceToken?: string,
    certFingerprint?: string,
  ): string;
  kinesis: {
    put(
      streamName: string,
      payload: string | object,
      region: string,
      keyID?: string,
      accessKey?: string,
    ): { SequenceNumber: string; ShardId: string };
  };
  /** Gives the message's id. */
  pubsub(topic: string, payload: any, saKeyJson?: ServiceAccountKey, attributes?: { [name: string]: string }): string;
  /** Sends messages and waits until all replicas in sync have them; gives where each lies. */
  kafka(
    brokers: string,
    topic: string,
    messages: KafkaMessage | KafkaMessage[],
    options?: {
      tls?: boolean;
      mechanism?: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
      username?: string;
      password?: string;
    },
  ): { partition: number; offset: number }[];
  /** Sends OTLP's JSON, or records: logs, metrics or traces. */
  otlp(
    url: string,
    signal: "logs" | "metrics" | "traces",
    data: any,
    options?: { headers?: { [name: string]: string }; resource?: { [name: string]: any } },
  ): void;
  s3: {
    /** Gives the object's URL. The older order `(region, keyID, accessKey, bucket, path)` works, too. */
    put(bucket: string, path: string, region: string, keyID?: string, accessKey?: string): string;
    clear(region: string, keyID: string, accessKey: string, bucket: string): void;
  };
  gcs: {
    put(bucket: string, path: string, saKeyJson?: ServiceAccountKey): string;
    clear(bucket: string, saKeyJson?: ServiceAccountKey): void;
  };
  azure: {
    put(container: string, path: string, accountName?: string, accountKey?: string, connectionString?: string): string;
    clear(container: string, accountName?: string, accountKey?: string, connectionString?: string): void;
  };
};

declare const chatgpt: {
  prompt(apiKey: string, prompt: string, maxTokens?: number, model?: string): string;
  /** Not offered: throws. */
  sentiment(text: string): never;
};

interface FetchResponse {
  status: number;
  statusText: string;
  ok: boolean;
  url: string;
  redirected: boolean;
  headers: {
    get(name: string): string | null;
    has(name: string): boolean;
    entries(): IterableIterator<[string, string]>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
  };
  text(): Promise<string>;
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

declare function fetch(
  url: string,
  options?: {
    method?: string;
    headers?: { [name: string]: string } | [string, string][];
    body?: string | Uint8Array | object;
    redirect?: "follow" | "error" | "manual";
  },
): Promise<FetchResponse>;

declare const wrapper: {
  /** HAR 1.2 of HTTP entries. */
  buildHAR(entries: Entry[]): string;
  /** Both maps together; numbers are added, maps within them joined. */
  joinMaps(a: object, b: object): object;
  /** Records the streams of entries that match filters to S3. To be called for each entry. */
  kflPcapS3(
    data: Entry,
    params: {
      kflArr: string[];
      awsRegion?: string;
      awsAccessKeyId?: string;
      awsSecretAccessKey?: string;
      s3Bucket?: string;
      slackWebhook?: string;
      slackAuthToken?: string;
      slackChannelId?: string;
      active?: boolean;
      verbose?: boolean;
      clear?: boolean;
      maxMinutes?: number;
      maxL4Streams?: number;
    },
  ): void;
  /** A snapshot of all streams to S3; gives its URL. */
  pcapSnapshot(region: string, keyID: string, accessKey: string, bucket: string): string;
};
