#!/usr/bin/env bash
# Makes a cargo workspace of links to rust-data-plane that takes its crates from unpacked Debian packages. Debian has one version of each
# crate, so the committed lock file cannot hold there; cargo writes its lock file beside the workspace's manifest, and here to this one.
# Cargo resolves the members outside rust-data-plane without following links, so they need a link where it looks for them.
#
#   eng/debian/rust-workspace.sh CRATES FOLDER     # cargo works in FOLDER/rust-data-plane
#
# FOLDER/.cargo is for CARGO_HOME: tests call cargo from other folders too.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
mkdir "$2/rust-data-plane" "$2/.cargo"
ln -s "$root"/rust-data-plane/*.toml "$root/rust-data-plane/crates" "$2/rust-data-plane"
ln -s "$root/Lab" "$2"
cat > "$2/.cargo/config.toml" << END
[net]
offline = true

[source.crates-io]
replace-with = "packages"

[source.packages]
directory = "$1"
END
