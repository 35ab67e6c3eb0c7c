#!/usr/bin/env bash
# Runs every benchmark on this machine and writes docs/benchmarks.md. About half an hour on two cores, 6 GB of disk meanwhile.
# With names as arguments only these are run again; the page is made from all results that are there.
set -eu
cd "$(dirname "$0")/../.."
out=docs/benchmarks
bench() { node bin/rlm-opencode.js bench "$@" --out "$out" >/dev/null; }
for name in "${@:-search steps entries store turn proxy faces command soak directories niah aggregate pairs hops codeqa recall real}"; do
  for one in $name; do
    echo "bench $one"
    rm -f "$out/$one.cells.jsonl"
    case $one in
      search) bench search --sizes 1M,100M,1G --runs 15 ;;
      steps) bench steps --sizes 100M,1G --runs 20 ;;
      entries) bench entries --runs 5 ;;
      store) bench store --sizes 1M,100M,1G ;;
      turn) bench turn --sizes 10M,100M ;;
      proxy) bench proxy --rounds 12 ;;
      faces) node test/long/face-chunks.ts >"$out/faces.table.txt" ;;
      command) bench command ;;
      soak) node test/long/soak.ts 2000 100000000 "$out/soak" >/dev/null ;;
      directories) node test/long/directories.ts 10 1000 "$out/directories" >/dev/null ;;
      niah) bench niah --sizes 1M,10M,100M,300M --seeds 3 --yes ;;
      aggregate | pairs) bench "$one" --sizes 1M,10M,100M --seeds 2 --yes ;;
      real) bench real --sizes 10M,100M --seeds 1 ;;
      *) bench "$one" --sizes 1M,10M --seeds 2 --yes ;;
    esac
  done
done
node bin/rlm-opencode.js bench document --out "$out"
