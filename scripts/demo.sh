#!/usr/bin/env bash
# Records a small real workload on loopback into a local bucket and shows it: `make demo`.
# Everything it starts listens on loopback and ends with it (Ctrl-C), or after DEMO_SECONDS (600).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh

deps_apt nginx-light dnsmasq-base bind9-dnsutils curl ca-certificates gcc libc6-dev cmake
deps_ui
say "building gillnet"
cargo build --release -p gillnet
gillnet=$CARGO_TARGET_DIR/release/gillnet

folder=$(mktemp -d "${TMPDIR:-/tmp}/gillnet-demo.XXXXXX")
bucket=$folder/bucket
mkdir -p "$bucket" "$folder/www/items"
pids=()
cleanup() {
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    say "the recording stays in $bucket; open it with"
    echo "   $gillnet tap --pcap file://$bucket"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# a web server and a DNS server
for i in 1 2 3 4 5 6 7 8 9; do echo "{\"item\": $i, \"price\": $((i * 7))}" >"$folder/www/items/$i.json"; done
cat >"$folder/nginx.conf" <<N
daemon off; pid $folder/nginx.pid; error_log $folder/nginx.log; worker_processes 1;
events {}
http {
    types { application/json json; }
    access_log off;
    client_body_temp_path $folder/b; proxy_temp_path $folder/p; fastcgi_temp_path $folder/f; uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
    server {
        listen 127.0.0.1:18080; root $folder/www; gzip on; gzip_types application/json; gzip_min_length 1;
        location = /checkout { return 500 '{"error": "the shop misbehaves"}'; }
        location = /login { return 302 /items/1.json; }
    }
}
N
nginx -c "$folder/nginx.conf" & pids+=($!)
dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null --port=15353 --listen-address=127.0.0.1 --bind-interfaces \
    --address=/shop.example/127.0.0.1 --txt-record=info.shop.example,"a demo" --local=/example/ --user="$(id -un)" & pids+=($!)

cat >"$folder/gillnet.yaml" <<Y
dataDir: $folder/data
capture: {interfaces: [lo], ring: {size: 64Mi}}
scripting:
  env:
    GCS_BUCKET: file://$bucket
    RECORDING_KFL: http or dns
recording: {flush: "*/15 * * * * *"}
names:
  static:
    - {address: "127.0.0.1:18080", name: catalogue, namespace: shop, service: catalogue, pod: catalogue-0}
    - {address: "127.0.0.1:15353", name: kube-dns, namespace: kube-system, service: kube-dns}
Y
say "recording 'http or dns' on loopback into $bucket"
"$gillnet" --config "$folder/gillnet.yaml" tap --local --no-browser & pids+=($!)
recorder=$!

# clients: a few calls a second, bounded in number
(
    end=$((SECONDS + ${DEMO_SECONDS:-600}))
    while [ $SECONDS -lt $end ]; do
        for i in 1 2 3; do curl -s -o /dev/null "http://127.0.0.1:18080/items/$((RANDOM % 12)).json?page=$i" --compressed || true; done
        curl -s -o /dev/null -X POST -H 'Content-Type: application/json' -d '{"cart": [1, 2]}' http://127.0.0.1:18080/checkout || true
        curl -s -o /dev/null -L http://127.0.0.1:18080/login || true
        dig +short +tries=1 +time=1 @127.0.0.1 -p 15353 "shop.example" A >/dev/null || true
        dig +short +tries=1 +time=1 @127.0.0.1 -p 15353 "nothing.example" AAAA >/dev/null || true
        sleep 1
    done
) & pids+=($!)

for _ in $(seq 60); do
    kill -0 $recorder 2>/dev/null || { echo "gillnet ended early" >&2; exit 1; }
    if find "$bucket" -name '*.pcapng.gz' | grep -q .; then break; fi
    sleep 1
done
say "the first objects are in the bucket:"
find "$bucket" -type f | sed "s|^|   |"
say "the dashboard's address stands above; open the recording from another terminal with"
echo "   $gillnet tap --pcap file://$bucket"
echo "   $gillnet query 'http and response.status == 500' file://$bucket -o table"
sleep "${DEMO_SECONDS:-600}" & wait $!
