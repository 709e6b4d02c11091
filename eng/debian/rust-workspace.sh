#!/usr/bin/env bash
# Makes a cargo workspace of links to rust-data-plane that takes its crates from unpacked Debian packages. Debian has one version of each
# crate, so the committed lock file cannot hold there; cargo writes its lock file beside the workspace's manifest, and here to this one.
#
#   eng/debian/rust-workspace.sh CRATES FOLDER     # FOLDER/.cargo is for CARGO_HOME: tests call cargo from other folders too
set -euo pipefail
sources="$(cd "$(dirname "$0")/../../rust-data-plane" && pwd)"
ln -s "$sources"/*.toml "$sources/crates" "$2"
mkdir "$2/.cargo"
cat > "$2/.cargo/config.toml" << END
[net]
offline = true

[source.crates-io]
replace-with = "packages"

[source.packages]
directory = "$1"
END
