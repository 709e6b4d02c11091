#!/usr/bin/env bash
# Where the instructions of a quote go, from the two runs that `cargo bench -p data-plane --bench quote` leaves behind: they differ
# only in their number of quotes. docs/performance.md has the command, and the figures.
#
#   eng/quote-parts.sh FOLDER     # that holds callgrind.N.1.out
set -euo pipefail

fail() { echo "$*" >&2; exit 1; }
command -v callgrind_annotate > /dev/null || fail "callgrind_annotate is not on PATH (Debian: valgrind)."
folder="${1:?usage: eng/quote-parts.sh FOLDER}" few=1920 many=11520
for quotes in $few $many; do
  [ -f "$folder/callgrind.$quotes.1.out" ] || fail "$folder/callgrind.$quotes.1.out is not there: run the benchmark first."
done

# Instructions, tab, file:function. What the compiler has inlined counts for the file that it came from.
listed() { # QUOTES ARGUMENTS
  callgrind_annotate --threshold=100 --auto=no "${@:2}" "$folder/callgrind.$1.1.out" |
    sed -nE 's/^ *([0-9,]+) \([ 0-9.]+%\)  (.*)$/\1\t\2/p'
}
each() { # ARGUMENTS
  awk -F '\t' -v quotes=$((many - few)) '{ gsub(",", "", $1) } NR == FNR { before[$2] += $1; next } { after[$2] += $1 }
    END { for (name in after) print (after[name] - before[name]) / quotes "\t" name }' <(listed $few "$@") <(listed $many "$@")
}

echo "Each by itself:"
each | awk -F '\t' '
  # The first that fits: what is done anywhere in h2 comes before the parts of h2.
  function part(name) {
    if (name ~ /PROGRAM TOTALS/) return ""
    if (name ~ /memmove|memcpy|memset/) return "moving of values (memcpy)"
    if (name ~ /malloc|arena\.c|__rdl_|__rust_|raw_vec|finish_grow/) return "allocation"
    if (name ~ /sync\/poison|sync\/mutex|sync\/atomic|panicking\.rs|panic_count/) return "locks and reference counts"
    if (name ~ /rd_kafka|librdkafka|libcrypto/) return "librdkafka"
    if (name ~ /hpack\/decoder|hpack::decoder|huffman\/decode|HeaderBlock::load|try_append2|try_reserve_one/) return "HPACK: decoding"
    if (name ~ /hpack\/|hpack::|into_encoding|Headers::encode/) return "HPACK: encoding"
    if (name ~ /http::uri|convert_poll_message/) return "URI and request"
    if (name ~ /check_headers|contains_key|parse_hdr|hash_elem_using|http::header|HeaderMap|HeaderValue/) return "header maps"
    if (name ~ /framed_read|length_delimited|FrameDecoder|poll_read/) return "frames: reading"
    if (name ~ /framed_write|Head::encode|poll_write|frame\/data|frame\/head/) return "frames: writing"
    if (name ~ /flow_control|FlowControl|release_capacity|assign_capacity|assign_connection/) return "flow control"
    if (name ~ /streams\/store|streams\/buffer|streams\/counts|slab|hash_one|DefaultHasher|indexmap|transition_after/) return "store and queues of streams"
    if (name ~ /h2-|h2::/) return "connection and streams, the rest of h2"
    if (name ~ /tokio/) return "tokio"
    if (name ~ /data_plane::http2/) return "data-plane: http2"
    if (name ~ /data_plane|pricing|telemetry|contracts|snapshot|uuid|chacha|arc_swap|rand/) return "data-plane: read, price, encode, report"
    return "the rest"
  }
  { sum[part($2)] += $1 }
  END { for (name in sum) if (name != "") { printf "%8.0f  %s\n", sum[name], name; all += sum[name] } printf "%8.0f  together\n", all }' | sort -rn

echo "With all that they call:"
# A function has a line for each file that was inlined into it. The largest is its own: it has all that the function does.
each --inclusive=yes | sed -E 's# \[[^]]*\]$##; s#\t.*[^:]:([^:])#\t\1#' | awk -F '\t' '
  /h2::proto::connection::Connection<T,P,B>::poll$|HeaderBlock::load$|DynConnection<B>::recv_frame$|Headers::encode$/ ||
  /Peer>::convert_poll_message$|SendResponse<B>::send_response$|StreamRef<B>::send_(data|trailers)$|check_headers$/ ||
  /RecvStream::poll_data$|OpaqueStreamRef as core::ops::drop::Drop>::drop$|Quotes::answer_at_once$/ {
    if ($1 > most[$2]) most[$2] = $1
  }
  END { for (name in most) printf "%8.0f  %s\n", most[name], name }' | sort -rn
