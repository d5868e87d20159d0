// Alert to Slack
//
// Tells a channel once a minute which services failed, and with what.
//
// scripting.env:
//   SLACK_WEBHOOK   the address of an incoming webhook
//   ALERT_KFL       what a failure is; HTTP with a status of 500 or more, if it is not given
//   ALERT_AT        so many failures of a service in a minute are told; 1, if it is not given

const FILTER = env.ALERT_KFL || "http and response.status >= 500";
const AT = Number(env.ALERT_AT ?? 1);
/** Examples in a message. */
const SHOWN = 5;

if (!env.SLACK_WEBHOOK) throw new Error("SLACK_WEBHOOK must be the address of an incoming webhook");
if (!kfl.validate(FILTER)) throw new Error("ALERT_KFL must be a filter: what a failure is");

/** By service, since the last look: how many there were, and the first of them. */
let failures = new Map();

const named = ({ name, namespace, ip, port }) => (name ? [name, namespace].filter(Boolean).join(".") : `${ip}:${port}`);

function onItemCaptured(data) {
  if (!kfl.match(FILTER, data)) return;
  const service = named(data.dst);
  const of = failures.get(service) ?? { count: 0, first: [] };
  of.count++;
  if (of.first.length < SHOWN) {
    const { request, response } = data;
    of.first.push(`${request?.method ?? ""} ${request?.path ?? ""} → ${response?.status ?? "no answer"}, from ${named(data.src)}`);
  }
  failures.set(service, of);
}

jobs.schedule("slack-alert", "0 * * * * *", () => {
  const told = failures;
  failures = new Map();
  for (const [service, { count, first }] of told) {
    if (count < AT) continue;
    const more = count > first.length ? `\nand ${count - first.length} more` : "";
    vendor.slack(env.SLACK_WEBHOOK, `${service}: ${count} failed`, first.join("\n") + more, "#D00000");
  }
});
