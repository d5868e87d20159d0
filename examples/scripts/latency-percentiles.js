// Latency percentiles for Prometheus
//
// Shows how long calls take, by service: the 50th, 90th and 99th percentile in µs of those of the last minute, at
// Gillnet's metrics endpoint. `latency_us{service="api",namespace="shop",quantile="0.99"}`
//
// scripting.env:
//   LATENCY_KFL   which calls; `http`, if it is not given

const FILTER = env.LATENCY_KFL || "http";
const QUANTILES = [0.5, 0.9, 0.99];
/** Calls of one service that are kept of a minute; past so many each is kept with the chance that it should have. */
const MOST = 10_000;

if (!kfl.validate(FILTER)) throw new Error("LATENCY_KFL must be a filter: which calls");

/** By service: times of its calls, and how many there were. */
let services = new Map();

function onItemCaptured(data) {
  // a call without an answer took no time that is known
  if (!data.elapsedTime || !kfl.match(FILTER, data)) return;
  const service = data.dst.name || data.dst.ip, { namespace } = data.dst;
  const key = `${namespace}/${service}`;
  const of = services.get(key) ?? { service, namespace, times: [], count: 0 };
  of.count++;
  if (of.times.length < MOST) of.times.push(data.elapsedTime);
  else {
    const at = Math.floor(Math.random() * of.count);
    if (at < MOST) of.times[at] = data.elapsedTime;
  }
  services.set(key, of);
}

jobs.schedule("latency-percentiles", "0 * * * * *", () => {
  for (const { service, namespace, times, count } of services.values()) {
    times.sort((a, b) => a - b);
    for (const quantile of QUANTILES) {
      const value = times[Math.ceil(quantile * times.length) - 1];
      prometheus.vector("latency_us", "Time from a request to the end of its response", 2, value, { service, namespace, quantile });
    }
    prometheus.vector("latency_calls", "Calls that were answered", 1, count, { service, namespace });
  }
  services = new Map();
});
