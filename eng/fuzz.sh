#!/usr/bin/env bash
# Feeds every reader at the border with changed input: the fuzz targets of Go, and the tests named fuzz_* of Rust. Needs go and cargo
# on the path, as `dotnet run --project eng/Toolchain -- env` sets them. The argument is the seconds for each target (default 10).
# What is found is kept as a file below testdata/fuzz (Go) or corpus (Rust), with which every later run of the tests begins.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-10}"
failed=0
fuzz() {
  if ! "$@"; then
    echo "FAILED: $*"
    failed=1
  fi
}

while IFS=: read -r file _ declaration; do
  target="${declaration#func }"
  fuzz go -C go-control-plane test "./$(dirname "$file")" -run '^$' -fuzz "^${target%%(*}\$" -fuzztime "${seconds}s"
done < <(cd go-control-plane && grep -rn '^func Fuzz' internal --include='*_test.go')

# The targets of one program run at the same time.
packages=()
for crate in $(cd rust-data-plane/crates && grep -rl 'fn fuzz_' --include='*.rs' . | cut -d/ -f2 | sort -u); do
  packages+=(-p "$crate")
done
cd "${HYBRID_RUST_WORKSPACE:-rust-data-plane}" || exit 1
FUZZ_SECONDS="$seconds" fuzz cargo test --profile fast "${packages[@]}" fuzz_ -- --nocapture
exit "$failed"
