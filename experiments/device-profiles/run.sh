#!/usr/bin/env bash
# Profiles of this machine, made twice, against 20 random networks of each shipped space that neither profile saw.
# Spaces of large images are measured at one resolution. Leave the machine alone meanwhile: about an hour a round.
set -euo pipefail
cd "$(dirname "$0")"
spaces="nas-bench-macro fbnet-cifar tiny proxylessnas single-path mobilenet-v3:160 mobilenet-v2:160 \
efficientnet-lite:160 efficientnet:160"
work=${1:-/tmp/device-profiles}
for round in ${ROUNDS:-first second}; do
  for one in ${2:-$spaces}; do
    space=${one%%:*} at=""
    [ "$space" = "$one" ] || at="--resolution ${one##*:}"
    [ -e "$work/$round-$space/profile.toml" ] || # the first round's networks differ from the second's, and from those that check
      nas profile --space "$space" $at --rounds 4 --seed "${#round}" --cpus "${CPU:-0}" --noisy --out "$work/$round-$space"
    [ $round = first ] || [ -e "$work/check-$space/results.json" ] ||
      nas profile --space "$space" $at --rounds 4 --networks 20 --seed 100 --cpus "${CPU:-0}" --out "$work/check-$space"
  done
done
python summary.py "$work" > summary.csv
