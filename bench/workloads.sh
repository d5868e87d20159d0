#!/usr/bin/env bash
# Records captures of real servers and clients to bench with.
#   workloads.sh FOLDER [http1_small http1_conn http1_large mixed]    SCALE=1 for a quick set, less for a smaller one
# Server and client are in two network namespaces joined by a veth pair with all offloads off, so that frames look
# as on a wire; one end is captured, so that each is there once. Needs nginx, wrk, hey, tcpdump, ethtool, iproute2; mixed
# needs Redis, PostgreSQL, dnsmasq and dnsperf, too.
set -euo pipefail

out=$(realpath -m "${1:?folder}"); shift
wanted=${*:-http1_small http1_conn http1_large mixed}
scale=${SCALE:-1}
server=10.99.0.1
work=$(mktemp -d /dev/shm/gillnet-bench.XXXXXX)
mkdir -p "$out"; chmod 755 "$work"

servers=()

times() { python3 -c "import sys; print(max(1, int(float(sys.argv[1]) * float(sys.argv[2]))))" "$1" "$scale"; }
on_server() { ip netns exec gnserver "$@"; }
on_client() { ip netns exec gnclient "$@"; }

cleanup() {
    [ -d "$work/postgres" ] && as_postgres pg_ctl -D "$work/postgres" -m immediate stop >/dev/null 2>&1 || true
    for process in "${servers[@]}"; do pkill -P "$process" || true; done
    [ -f "$work/nginx.pid" ] && kill "$(cat "$work/nginx.pid")" 2>/dev/null
    sleep 0.2
    ip netns del gnserver 2>/dev/null; ip netns del gnclient 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

network() {
    ip netns add gnserver; ip netns add gnclient
    ip link add gns netns gnserver type veth peer name gnc netns gnclient
    ip -n gnserver addr add $server/16 dev gns; ip -n gnclient addr add 10.99.1.1/16 dev gnc
    local i
    for i in $(seq 10 41); do ip -n gnserver addr add "10.99.0.$i/16" dev gns; done
    for side in "gnserver gns" "gnclient gnc"; do
        set -- $side
        ip -n "$1" link set lo up; ip -n "$1" link set "$2" mtu 1500 up
        ip netns exec "$1" ethtool -K "$2" tso off gso off gro off tx off rx off sg off >/dev/null 2>&1 || true
        ip netns exec "$1" sysctl -qw net.ipv4.ip_local_port_range="1024 65000" net.ipv4.tcp_tw_reuse=1 net.core.somaxconn=4096
    done
}

serve() {
    mkdir -p "$work/www/items"
    python3 - "$work/www" <<'P'
import json, random, sys
r, www = random.Random(7), sys.argv[1]
words = "red green blue small large round flat".split()
for i in range(200):
    item = {"id": i, "name": f"item-{i}", "price": r.randint(1, 9999), "tags": r.sample(words, 3), "text": "x" * r.randint(20, 300)}
    open(f"{www}/items/{i}.json", "w").write(json.dumps(item))
for i in range(8):
    line = lambda: " ".join(f"{r.getrandbits(32):08x}" for _ in range(64)) + "\n"
    open(f"{www}/big{i}.txt", "w").write("".join(line() for _ in range(1830))[: 1 << 20])
P
    cat >"$work/nginx.conf" <<N
worker_processes 2; pid $work/nginx.pid; error_log $work/error.log; user root;
events { worker_connections 4096; }
http {
    types { application/json json; text/plain txt; }
    access_log off; keepalive_requests 1000000; sendfile on; tcp_nopush on;
    client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
    server {
        listen 8080 backlog=4096; root $work/www;
        location = /created { return 201 "created\n"; }
        location = /missing { return 404; }
        location = /broken { return 503; }
    }
}
N
    on_server nginx -c "$work/nginx.conf"
    cat >"$work/small.lua" <<'L'
local headers = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) bench/1.0", ["Accept"] = "application/json", ["Accept-Encoding"] = "identity",
  ["X-Request-Id"] = "0123456789abcdef0123456789abcdef", ["Cookie"] = "session=5f2b8c9a7d6e4f3a2b1c0d9e8f7a6b5c; theme=dark",
  ["Authorization"] = "Bearer " .. string.rep("a", 40) }
local count = 0
request = function()
  count = count + 1
  local kind = count % 20
  if kind == 0 then return wrk.format("GET", "/missing", headers) end
  if kind == 1 then return wrk.format("GET", "/broken", headers) end
  if kind <= 3 then
    headers["Content-Type"] = "application/json"
    local post = wrk.format("POST", "/created", headers, '{"n":' .. count .. ',"op":"create"}')
    headers["Content-Type"] = nil
    return post
  end
  return wrk.format("GET", "/items/" .. (count % 200) .. ".json?page=" .. count, headers)
end
L
}

capture() { # NAME COMMAND...
    local name=$1 size=-1 now; shift
    on_server tcpdump -i gns -s0 -B 1048576 -n -w "$work/$name.pcap" ip 2>"$work/tcpdump.log" &
    local dump=$!
    sleep 1
    "$@"
    while now=$(stat -c %s "$work/$name.pcap"); [ "$now" != "$size" ]; do size=$now; sleep 1; done
    pkill -INT -P $dump 2>/dev/null || true; kill -INT $dump 2>/dev/null || true; wait $dump 2>/dev/null || true
    mv "$work/$name.pcap" "$out/$name.pcap"
    tr '\n' ' ' <"$work/tcpdump.log" >&2; ls -l "$out/$name.pcap" >&2
}

http1_small() { on_client wrk -t2 -c64 -d"$(times 40)s" -s "$work/small.lua" http://$server:8080/ >&2; }
http1_conn() {
    local i
    for i in $(seq 10 33); do
        on_client hey -n "$(times 16000)" -c 32 -disable-keepalive "http://10.99.0.$i:8080/items/$i.json" >/dev/null
    done
}
http1_large() {
    local i
    for i in 0 1 2 3 4 5 6 7; do on_client hey -n "$(times 240)" -c 8 -q 20 "http://$server:8080/big$i.txt" >/dev/null; done
}

as_postgres() { # PROGRAM ARGUMENTS...
    local programs program=$1; shift
    programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    on_server runuser -u postgres -- "$programs/$program" "$@"
}

serve_mixed() {
    on_server redis-server --bind $server --protected-mode no --save "" >/dev/null & servers+=($!)
    on_server dnsmasq --keep-in-foreground --no-resolv --no-hosts --user=root --bind-interfaces --listen-address=$server \
        --cache-size=10000 --address=/cluster.local/10.96.0.7 --local=/example/ >/dev/null 2>&1 & servers+=($!)
    install -d -o postgres "$work/postgres"
    as_postgres initdb -D "$work/postgres" --auth=trust >"$work/initdb.log"
    echo "host all all 10.99.0.0/16 trust" >>"$work/postgres/pg_hba.conf"
    as_postgres pg_ctl -D "$work/postgres" -w -o "-h $server -k /tmp -F -c ssl=off" start >/dev/null
    on_client pgbench -h $server -U postgres -i -s 5 postgres >"$work/pgbench.log" 2>&1
    python3 -c 'for i in range(5000): print(f"svc{i}.shop.svc.cluster.local A\ngone{i}.example AAAA")' >"$work/questions"
}

# What a node of a cluster sees: calls of HTTP, lookups, a cache and a database side by side.
mixed() {
    local seconds clients=(); seconds=$(times 30)
    on_client wrk -t1 -c16 -d"${seconds}s" -s "$work/small.lua" http://$server:8080/ >&2 & clients+=($!)
    on_client dnsperf -s $server -d "$work/questions" -l "$seconds" -Q 1000 >/dev/null & clients+=($!)
    on_client redis-benchmark -h $server -c 16 -n "$(times 80000)" -d 64 -r 100000 -t set,get,incr,lpush,hset,mset -q >/dev/null & clients+=($!)
    on_client pgbench -h $server -U postgres -c 4 -T "$seconds" -M simple postgres >/dev/null 2>&1 & clients+=($!)
    on_client pgbench -h $server -U postgres -c 4 -T "$seconds" -S -M extended postgres >/dev/null 2>&1 & clients+=($!)
    wait "${clients[@]}"
}

network; serve
case " $wanted " in *" mixed "*) serve_mixed ;; esac
for name in $wanted; do capture "$name" "$name"; done
