#!/usr/bin/env bash
# Profiles of this machine, made twice, against 20 random networks of each shipped space that neither profile saw.
# A space, the resolution of its images, rounds of a profile, of the check. Leave the machine alone meanwhile: hours.
set -euo pipefail
cd "$(dirname "$0")"
spaces="tiny::16:24 nas-bench-macro::12:12 fbnet-cifar::6:6 mobilenet-v3:160:3:3 efficientnet-lite:160:3:3 \
mobilenet-v2:160:8:8 proxylessnas::3:3 single-path::3:3 efficientnet:160:3:3"
work=${1:-/tmp/device-profiles}
for round in ${ROUNDS:-second first}; do
  for one in ${2:-$spaces}; do
    IFS=: read -r space at rounds checked <<< "$one"
    set -- --space "$space" ${at:+--resolution "$at"} --cpus "${CPU:-0}"
    [ -e "$work/$round-$space/profile.toml" ] || # the rounds' networks differ, and from those that check
      nas profile "$@" --rounds "${rounds:-6}" --seed "${#round}" --noisy --out "$work/$round-$space"
    [ "$round" = first ] || [ -e "$work/check-$space/results.json" ] ||
      nas profile "$@" --rounds "${checked:-6}" --networks 20 --seed 100 --out "$work/check-$space"
  done
done
python summary.py "$work" > summary.csv
