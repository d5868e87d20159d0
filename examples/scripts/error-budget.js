// Error budget
//
// How much of its error budget each service has left, for Prometheus: 1 is all of it, 0 none, below 0 it is overdrawn.
// `error_budget_left{service="api",namespace="shop"}`. One that is used up is said on the console, once.
//
// scripting.env:
//   SLO_TARGET   part of the calls that must be good; 0.99, if it is not given
//   SLO_HOURS    over so many hours; 24, if it is not given
//   SLO_KFL      which calls count; `http`, if it is not given
//   SLO_BAD      which of them are bad; those with a status of 500 or more, if it is not given

const TARGET = Number(env.SLO_TARGET ?? 0.99);
const HOURS = Number(env.SLO_HOURS ?? 24);
const CALLS = env.SLO_KFL || "http";
const BAD = env.SLO_BAD || "response.status >= 500";

if (!(TARGET > 0 && TARGET < 1)) throw new Error("SLO_TARGET must be above 0 and below 1, as 0.99");
if (!(HOURS >= 1 && HOURS <= 24 * 31)) throw new Error("SLO_HOURS must be from 1 to 744");
for (const filter of [CALLS, BAD]) if (!kfl.validate(filter)) throw new Error("SLO_KFL and SLO_BAD must be filters");

/** By service: for each hour of traffic how many calls there were, and how many bad ones. */
const services = new Map();
const HOUR = 3600_000;
/** The newest hour in which there was traffic. */
let newest = 0;

function onItemCaptured(data) {
  if (!kfl.match(CALLS, data)) return;
  const service = data.dst.name || data.dst.ip, { namespace } = data.dst;
  const key = `${namespace}/${service}`, hour = Math.floor(data.timestamp / HOUR);
  const of = services.get(key) ?? { service, namespace, hours: new Map(), spent: false };
  const counts = of.hours.get(hour) ?? { calls: 0, bad: 0 };
  counts.calls++;
  if (kfl.match(BAD, data)) counts.bad++;
  of.hours.set(hour, counts);
  services.set(key, of);
  newest = Math.max(newest, hour);
}

jobs.schedule("error-budget", "0 * * * * *", () => {
  for (const [key, of] of services) {
    let calls = 0, bad = 0;
    for (const [hour, counts] of of.hours) {
      if (hour <= newest - HOURS) {
        of.hours.delete(hour);
        continue;
      }
      calls += counts.calls;
      bad += counts.bad;
    }
    if (calls === 0) {
      services.delete(key);
      continue;
    }
    const left = 1 - bad / calls / (1 - TARGET);
    const { service, namespace } = of;
    prometheus.vector("error_budget_left", "Part of the error budget that is left", 2, left, { service, namespace });
    if (left <= 0 && !of.spent) console.error(`${service}: ${bad} of ${calls} calls were bad; its error budget is spent`);
    of.spent = left <= 0;
  }
});
