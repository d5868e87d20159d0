// Record to a bucket
//
// Keeps the packets of streams in which something matches a filter, and puts them into a bucket every five minutes: one
// capture, and what its addresses are called. Gillnet records by itself, too, and goes on doing so beside this.
//
// scripting.env:
//   RECORD_KFL   what to record, as `http and response.status >= 500`
//   RECORD_TO    gs://BUCKET, s3://BUCKET or azure://CONTAINER
//   for gs:      GCS_SA_KEY_JSON, the service account's key; without it, that of the workload
//   for s3:      AWS_REGION; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of the workload
//   for azure:   AZURE_STORAGE_ACCOUNT; AZURE_STORAGE_KEY, or that of the workload

const FOLDER = "record";
const [, store, bucket] = /^(gs|s3|azure):\/\/(.+)$/.exec(env.RECORD_TO ?? "") ?? [];

if (!store) throw new Error("RECORD_TO must be gs://BUCKET, s3://BUCKET or azure://CONTAINER");
if (!env.RECORD_KFL || !kfl.validate(env.RECORD_KFL)) throw new Error("RECORD_KFL must be a filter: what to record");

/** Streams that are kept since the last upload. */
let kept = new Set();
file.delete(FOLDER);
file.mkdir(FOLDER);

function onItemCaptured(data) {
  if (kept.has(data.stream) || !kfl.match(env.RECORD_KFL, data)) return;
  // at once: what leaves the capture ring is gone
  file.copy(pcap.path(data.stream), `${FOLDER}/${data.stream}`);
  kept.add(data.stream);
}

function put(path) {
  switch (store) {
    case "gs":
      return vendor.gcs.put(bucket, path, env.GCS_SA_KEY_JSON);
    case "s3":
      return vendor.s3.put(bucket, path, env.AWS_REGION, env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY);
    case "azure":
      return vendor.azure.put(bucket, path, env.AZURE_STORAGE_ACCOUNT, env.AZURE_STORAGE_KEY);
  }
}

function upload() {
  if (kept.size === 0) return;
  for (const stream of kept) {
    // what came since, as long as it is there
    try { file.copy(pcap.path(stream), `${FOLDER}/${stream}`); } catch { /* the first copy stays */ }
  }
  const capture = pcap.snapshot([], FOLDER);
  try {
    put(capture);
    put("name_resolution_history.json");
    // kept until it is there: one that fails is tried again the next time
    file.delete(FOLDER);
    file.mkdir(FOLDER);
    kept = new Set();
  } finally {
    file.delete(capture);
  }
}

jobs.schedule("record", "0 */5 * * * *", upload);
