#!/usr/bin/env bash
# Figures of a running topology, and whether the ledger has every quote of the load. docs/performance.md says how to read them.
#
#   eng/measure.sh STATE_DIR     # that `dotnet run --project AppHost -- --state STATE_DIR` has started. Nothing else should run.
set -euo pipefail
requests=200000 rounds=5 changes=200

fail() { echo "$*" >&2; exit 1; }
for tool in curl jq ss h2load nghttpd; do
  command -v "$tool" > /dev/null || fail "$tool is not on PATH (Debian: curl, jq, iproute2, nghttp2-client, nghttp2-server)."
done
endpoints="${1:?usage: eng/measure.sh STATE_DIR}/endpoints.json"
[ -f "$endpoints" ] || fail "$endpoints is not there. Start the topology first: dotnet run --project AppHost -- --state $1"
folder="$(mktemp -d)" bare=
trap '[ -z "$bare" ] || kill "$bare"; rm -rf "$folder"' EXIT

url() { jq -r ".resources[\"$1\"].$2" "$endpoints"; }
api="$(url control-plane http)"
call() { curl -sS --fail-with-body -H 'content-type: application/json' "$api$@" || fail "$api$1 answered with an error."; }
# The process that listens on the port of a URL on this machine, if one of ours does.
listening() { ss -Hltnp "sport = :$(sed -E 's#.*:([0-9]+).*#\1#' <<< "$1")" | grep -o 'pid=[0-9]*' | head -n 1 | cut -d = -f 2; }
nth() { sort -n | sed -n "$1p"; }

# One item, one tax rule and one promotion to measure with.
id="$(od -An -N 5 -tx1 /dev/urandom | tr -d ' \n')"
sku="measure-$id" jurisdiction="M-${id^^}"
call /v1/tax-rules -d '{"jurisdiction":"'"$jurisdiction"'","category":"standard","ratePpm":190000}' > /dev/null
call /v1/items -d '{"sku":"'"$sku"'","name":"Measured","unitPrice":{"currencyCode":"EUR","minorUnits":1999}}' > /dev/null
call /v1/promotions -d '{"promotionId":"'"$sku"'","name":"Measured","percentOffPpm":100000,"skus":["'"$sku"'"],
  "budget":{"currencyCode":"EUR","minorUnits":1000000000000}}' > /dev/null

# CPU of a quote, beside that of a bare C HTTP/2 server that answers as many bytes, in the same run and in turn.
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
micros() { # PROCESS NAME H2LOAD-ARGUMENTS
  local before; before="$(cpu_ticks "$1")"
  h2load -c 8 -m 16 -t 1 -n "$requests" "${@:3}" > "$folder/h2load"
  grep -q "$requests succeeded, 0 failed, 0 errored" "$folder/h2load" || fail "h2load did not get $requests good answers: $(cat "$folder/h2load")"
  awk -v ticks=$(($(cpu_ticks "$1") - before)) -v second="$(getconf CLK_TCK)" -v n="$requests" 'BEGIN { print ticks / second * 1e6 / n }' >> "$folder/$2"
}
booked() { # On whichever page they are.
  local next="" page quotes=0
  while page="$(call "/v1/ledger/totals?pageToken=$next")"; do
    quotes=$((quotes + $(jq --arg mine "$jurisdiction" '[.totals[] | select(.jurisdiction == $mine).quotes | tonumber] | add // 0' <<< "$page")))
    next="$(jq -r '.nextPageToken // ""' <<< "$page")"
    [ -n "$next" ] || break
  done
  echo "$quotes"
}
byte() { printf "\\x$(printf %x "$1")"; }
text() { byte "$1"; byte "${#2}"; printf %s "$2"; }
# A QuoteRequest in gRPC's frame: not compressed, length in four bytes.
line=$((${#sku} + 4))
{
  printf '\0\0\0\0'; byte $((${#jurisdiction} + line + 9))
  text 10 EUR; text 18 "$jurisdiction"; byte 26; byte "$line"; text 10 "$sku"; byte 16; byte 3
} > "$folder/question"
head -c 170 /dev/zero > "$folder/answer"
node="$(url data-plane-1 grpc)" data_plane="$(listening "$(url data-plane-1 grpc)")" || fail "data-plane-1 does not run on this machine."
port=20000
while [ -n "$(ss -Hltn "sport = :$port")" ]; do port=$((port + 1)); done
nghttpd --no-tls -a 127.0.0.1 -d "$folder" "$port" & bare=$!
until [ -n "$(listening ":$port")" ]; do kill -0 "$bare"; sleep 0.1; done
for _ in $(seq "$rounds"); do
  micros "$bare" reference "http://127.0.0.1:$port/answer"
  micros "$data_plane" quotes -d "$folder/question" -H 'content-type: application/grpc' -H 'te: trailers' "$node/hybrid.pricing.v1.PricingService/Quote"
done
# Every quote of the load was answered well, or the ledger would not have it.
expected=$((requests * rounds)) loaded="$(date +%s%3N)"
until [ "$(booked)" -ge "$expected" ] || [ $(($(date +%s%3N) - loaded)) -gt 120000 ]; do sleep 0.1; done
[ "$(booked)" -eq "$expected" ] || fail "The ledger has $(booked) quotes, expected $expected."
echo "All $expected quotes are in the ledger, $(($(date +%s%3N) - loaded)) ms after the last."
reference="$(nth $((rounds / 2 + 1)) < "$folder/reference")" quote="$(nth $((rounds / 2 + 1)) < "$folder/quotes")"
LC_ALL=C.UTF-8 awk -v c="$reference" -v rust="$quote" -v what="median of $rounds rounds of $requests" \
  'BEGIN { printf "CPU per request, %s: bare nghttpd %.1f µs, quote %.1f µs, ratio %.2f\n", what, c, rust, rust / c }'

# Resident memory of each process, and latency, while both nodes together price 5,000 quotes a second.
"$(dirname "$(readlink "/proc/$data_plane/exe")")/loadgen" --target "$node" --target "$(url data-plane-2 grpc)" --rate 5000 --duration 20s \
  --currency EUR --jurisdiction "$jurisdiction" --line "$sku=3" > "$folder/load" 2> "$folder/progress" & load=$!
jq -r '(.resources | to_entries[] | "\(.key) \(.value[])"), "dashboard \(.dashboard.url)"' "$endpoints" | sort -u -k 1,1 > "$folder/listeners"
declare -A peak
while kill -0 "$load" 2> /dev/null; do
  while read -r name address; do
    process="$(listening "$address")" || continue
    name="$name ($(cat "/proc/$process/comm"))" kilobytes="$(awk '/^VmRSS:/ { print $2 }' "/proc/$process/status")"
    [ "$kilobytes" -le "${peak[$name]:-0}" ] || peak[$name]="$kilobytes"
  done < "$folder/listeners"
  sleep 1
done
wait "$load" && jq -e '.sent == .answered' "$folder/load" > /dev/null || fail "loadgen did not get an answer to every quote: $(cat "$folder/load" "$folder/progress")"
jq -r '"Resident memory at \(.achievedRate | round) quotes a second:"' "$folder/load"
for name in "${!peak[@]}"; do echo "  $name $((peak[$name] / 1024)) MB"; done | sort
jq -r '"Latency at that rate, open loop\(if .keptUp then "" else " (the generator did not keep up)" end): "
  + "P50 \(.latencyMicros.p50) µs, P99 \(.latencyMicros.p99) µs"' "$folder/load"

# From the write's time stamp in Postgres to the time stamp of the last node's Ack.
for price in $(seq 2000 $((1999 + changes))); do
  version="$(call "/v1/items/$sku" | jq -r .version)"
  written="$(call "/v1/items/$sku" -X PUT -d '{"sku":"'"$sku"'","name":"Measured","version":"'"$version"'",
    "unitPrice":{"currencyCode":"EUR","minorUnits":'"$price"'}}')"
  version="$(jq -r .version <<< "$written")"
  until call /v1/fleet/nodes | jq '[.nodes[] | select(.connected)]' > "$folder/fleet" \
    && jq -e --argjson version "$version" 'all(.appliedVersion // "0" | tonumber >= $version)' "$folder/fleet" > /dev/null; do :; done
  applied="$(jq -r '.[].appliedAt' "$folder/fleet" | date -f - +%s%N | nth '$')"
  echo $((applied - $(date -d "$(jq -r .updatedAt <<< "$written")" +%s%N))) >> "$folder/times"
done
LC_ALL=C awk -v changes="$changes" -v median="$(nth $((changes / 2 + 1)) < "$folder/times")" -v p99="$(nth $((changes * 99 / 100)) < "$folder/times")" \
  'BEGIN { printf "Commit to both replicas applied, %d changes: median %.1f ms, P99 %.1f ms\n", changes, median / 1e6, p99 / 1e6 }'
