// HAR to a webhook
//
// Posts exchanges of HTTP as HAR 1.2 once a minute, for whatever reads that: a browser's developer tools, a proxy that
// looks for weaknesses, a test suite that plays them again.
//
// scripting.env:
//   HAR_URL     where to
//   HAR_KFL     which exchanges; `http`, if it is not given
//   HAR_TOKEN   sent as a bearer's, if it is given

const FILTER = env.HAR_KFL || "http";
/** Exchanges that wait for a webhook that does not answer; older ones go. */
const MOST = 5000;

if (!env.HAR_URL) throw new Error("HAR_URL must be where HAR is to be posted");
if (!kfl.validate(FILTER)) throw new Error("HAR_KFL must be a filter: which exchanges");

let waiting = [], lost = 0;

function onItemCaptured(data) {
  if (!data.request || !data.response || !kfl.match(FILTER, data)) return;
  // HAR needs a host; what has no name has an address
  data.dst.name ||= `${data.dst.ip}:${data.dst.port}`;
  waiting.push(data);
  if (waiting.length > MOST) {
    waiting.shift();
    lost++;
  }
}

jobs.schedule("har-webhook", "0 * * * * *", async () => {
  if (lost > 0) console.error(`${lost} exchanges were lost: the webhook did not take them in time`);
  lost = 0;
  if (waiting.length === 0) return;
  const sent = waiting;
  const headers = { "Content-Type": "application/json" };
  if (env.HAR_TOKEN) headers.Authorization = `Bearer ${env.HAR_TOKEN}`;
  try {
    const answer = await fetch(env.HAR_URL, { method: "POST", headers, body: wrapper.buildHAR(sent) });
    if (!answer.ok) throw new Error(`the webhook said ${answer.status} ${answer.statusText}`);
    waiting = waiting.filter((data) => !sent.includes(data));
  } catch (error) {
    // they wait for the next time
    console.error(error);
  }
});
