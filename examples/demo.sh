#!/bin/sh
# What `make demo` shows: an archive made here, as JSON, filtered, and back as MRT.
set -eu
bin=$(cd "${BIN:-.venv/bin}" && pwd)
PATH=$bin:$PATH

run() {
  printf '\n$ %s\n' "$1"
  sh -c "$1" 2>&1
}

run 'bgpipe -v'
run 'python -m bgpipe.sample sample'
run 'bgpipe sample/updates.mrt.gz | head -n 2'
run 'bgpipe sample/updates.mrt.gz -- write sample/updates.json'
run 'wc -l sample/updates.json'
run "bgpipe -o sample/rib.mrt.gz -- grep 'ipv6 && aspath_len <= 3' -- head -n 2"
run 'bgpipe sample/updates.json -- write sample/again.mrt.gz'
run 'python examples/origins.py sample/updates.mrt.gz'
cat <<END

That was: an archive to JSON, a filter on a RIB, JSON back to MRT, and the library.
Next:  PATH=$bin:\$PATH   then   bgpipe -h   bgpipe grep -h   bgpipe YOUR-FILE.bz2 | head
       README.md and docs/ have more; \`make test\` runs the tests, \`make bench\` measures.
END
