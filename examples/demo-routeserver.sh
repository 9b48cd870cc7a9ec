#!/bin/sh
# What `make demo-routeserver` shows: a route server with a list in a file and one at a URL, two clients, one changed line,
# and the one UPDATE that it causes. One client is BIRD where apt has it (nothing is installed), the other bgpipe.
set -eu
bin=$(cd "${BIN:-.venv/bin}" && pwd)
PATH=$bin:$PATH
demo=sample/routeserver
rm -rf "$demo"
mkdir -p "$demo/www" sample/packages
cd "$demo"
pids=
finish() {
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT TERM

run() {
  printf '\n$ %s\n' "$1"
  sh -c "$1" 2>&1
}

until_true() { # WHAT COMMAND: asks for 20 seconds
  for _ in $(seq 100); do
    if sh -c "$2" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "$1: not within 20 seconds; see $demo/log" >&2
  exit 1
}

free_port() {
  python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

bgp=$(free_port) http=$(free_port) api=$(free_port)
export BGPLITE_API="http://127.0.0.1:$api"

python -m http.server -b 127.0.0.1 -d www "$http" >http.log 2>&1 &
pids="$pids $!"
printf '1.0.0.0/24\n1.1.1.0/24\n2606:4700::/32\n' >cloud.txt
printf '5.8.0.0/19\n5.16.0.0/14\n' >www/country.txt
cat >appsettings.yml <<END
Bgp:
  Asn: 65000
  RouterId: 192.0.2.1
  NextHopIpv6: 2001:db8::1
  Listen: [127.0.0.1]
  Port: $bgp
ApiPort: $api
AllowedNetworks: [127.0.0.1/32]      # a URL leads to the Internet only, unless this says more
PrefixSources:
  - {Name: cloud, Path: cloud.txt, Community: 65000:300}
  - {Name: country, Kind: http, Url: "http://127.0.0.1:$http/country.txt", Community: 65000:400}
Peers:
  - {Address: 127.0.0.1, RemoteAsn: 65003, Lists: [cloud, country], Exclude: [1.1.1.1/32]}
  - {Address: 127.0.0.1, RemoteAsn: 65004, Lists: [cloud]}
END
run 'cat appsettings.yml'
run 'bgplite check'
printf '\n$ bgplite &\n'
bgplite >log 2>&1 &
pids="$pids $!"
until_true 'the lists are read' "python -c 'import urllib.request as url; url.urlopen(\"$BGPLITE_API/readyz\")'"
run 'bgplite sources'

if ! command -v bird >/dev/null && [ ! -x ../packages/usr/sbin/bird ]; then
  (cd ../packages && apt-get download -q bird2 libssh-gcrypt-4 && for deb in *.deb; do dpkg -x "$deb" .; done) \
    >../packages/log 2>&1 || true
fi
libraries=$(find "$PWD/../packages" -name 'lib*.so*' -exec dirname {} + | sort -u | paste -s -d : -)
[ -z "$libraries" ] || export LD_LIBRARY_PATH="$libraries"
bird=$(command -v bird || echo ../packages/usr/sbin/bird)
"$bird" --version >/dev/null 2>&1 || bird=
printf '\n$ bgpipe -- speaker --active --asn 65004 -- stdout -L --type UPDATE -- connect 127.0.0.1:%s &\n' "$bgp"
bgpipe -- speaker --active --asn 65004 -- stdout -L --type UPDATE -- connect "127.0.0.1:$bgp" >updates.json 2>client.log &
pids="$pids $!"
if [ "$bird" ]; then
  cat >bird.conf <<END
router id 192.0.2.3;
protocol device { }
protocol bgp bgplite {
  local 127.0.0.1 port $(free_port) as 65003;
  neighbor 127.0.0.1 port $bgp as 65000;
  strict bind; multihop; connect delay time 1;
  ipv4 { import all; export none; };
  ipv6 { import all; export none; };
}
END
  run 'cat bird.conf'
  "$bird" -f -c bird.conf -s bird.ctl -P bird.pid >bird.log 2>&1 &
  pids="$pids $!"
  birdc=${bird%bird}birdc
  until_true 'BIRD has its routes' "$birdc -s bird.ctl show route count | grep -q '^[1-9][0-9]* of'"
  sleep 1
  run "$birdc -s bird.ctl show route | grep -v ^BIRD"
else
  echo "(BIRD can't be had here: sample/packages/log says why)"
fi
until_true 'the other client has its routes' "grep -q '2606:4700::/32' updates.json"
run 'bgplite sessions'
run 'bgplite routes 127.0.0.1#65004'
run 'bgplite why 127.0.0.1#65003 1.1.1.1'

lines=$(wc -l <updates.json)
run 'echo 1.2.3.0/24 >> cloud.txt'
until_true 'the change is announced' "test \"\$(wc -l < updates.json)\" -gt $lines"
sleep 1
run "tail -n +$((lines + 1)) updates.json"
test "$(wc -l <updates.json)" = $((lines + 1))
if [ "$bird" ]; then
  run "$birdc -s bird.ctl show route 1.2.3.0/24 | grep -v ^BIRD"
fi
cat <<END

That was: two lists, two clients with different subscriptions, and a changed line: one UPDATE of one prefix, no other touched.
Next:  docs/routeserver.md: peers over the API, sources, policy; \`bgplite setup\` for your own router.
END
