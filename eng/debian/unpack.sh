#!/usr/bin/env bash
# Downloads the Debian packages that a list beside this file names, and unpacks them into one folder. No root is needed and nothing of
# the machine changes: apt-get runs with sources and state of its own. Hashes, proxies, retries and resumption are apt's.
#
#   eng/debian/unpack.sh LIST FOLDER
#
# FOLDER/packages.txt names the archives. Lines that begin with "progress: " are for people who wait; all others say what went wrong.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
list="$1" folder="$2" state="$2/.apt"
own_suite="$(. /etc/os-release && echo "$VERSION_CODENAME")"

# The release whose Go and Rust libraries match the versions that the manifests ask for.
suite=forky
# Dependencies to take too, by name; and what counts as installed.
dependencies='^$' status="$state/status"
case "$list" in
  rust-crates) dependencies='^librust-' ;;
  # A server needs libraries of the machine's own release; those that the machine has need not be brought.
  postgres) suite="$own_suite" dependencies=. status=/var/lib/dpkg/status ;;
esac

fail() {
  printf '%s\n' "$@"
  exit 1
}

mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial"
: > "$state/status"
export apt_conf="$state/apt.conf"
cat > "$apt_conf" << END
Dir::State "$state/state";
Dir::State::status "$status";
Dir::Cache "$state/cache";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Retries "5";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END

echo "progress: reading Debian's package lists"
keyring="$(find /usr/share/keyrings -name 'debian-archive-keyring.*' | sort | head -n 1)"
[ -n "$keyring" ] || fail "The package debian-archive-keyring is missing: apt-get install debian-archive-keyring"
# The machine's own sources name the mirror; its package lists need not have been downloaded for that.
mirrors="$(apt-get -c "$apt_conf" --print-uris update 2> /dev/null | "$here/mirrors.sh" "$own_suite")" || true
cat >> "$apt_conf" << END
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "/dev/null";
END
failure="apt names no mirror of Debian's main archive."
for mirror in $mirrors; do
  echo "deb [signed-by=$keyring] $mirror $suite main" > "$state/sources.list"
  if apt-get -c "$apt_conf" -q update > "$state/output" 2>&1; then
    failure=
    break
  fi
  failure="The package lists of Debian $suite cannot be read."$'\n'"$(tail -n 15 "$state/output")"
done
[ -z "$failure" ] || fail "$failure" "Check that \`apt-get update\` works on this machine."

echo "progress: resolving packages"
mapfile -t packages < <(grep . "$here/$list.txt")
apt-get -c "$apt_conf" --print-uris -y install "${packages[@]}" > "$state/output" 2>&1 \
  || fail "apt-get finds no such packages in Debian $suite:" "$(tail -n 15 "$state/output")"
# A line is: 'ADDRESS' NAME_VERSION_ARCHITECTURE.deb SIZE HASH
mapfile -t names < <(sed -n "s/^'[^']*' \([^_ ]*\)_[^ ]*\.deb .*/\1/p" "$state/output" | sort -u \
  | awk -v dependencies="$dependencies" 'FNR == NR { listed[$1]; next } $1 in listed || $1 ~ dependencies' "$here/$list.txt" -)
[ "${#names[@]}" -gt 0 ] \
  || fail "apt counts ${packages[*]} as installed, so there is nothing to bring. Install it anew: apt-get install --reinstall"

# Downloads some packages, unpacks them, and names their archives.
bring() {
  cd "$(mktemp -d "$state/download.XXXXXX")"
  apt-get -c "$apt_conf" -q download "$@" > output 2>&1 || { tail -n 15 output >&2; return 255; }
  for archive in *.deb; do
    dpkg -x "$archive" "$folder" || return 255
    echo "$archive"
  done
}
export -f bring
export state folder
printf '%s\n' "${names[@]}" | xargs -P 4 -n 40 bash -c 'bring "$@"' bring | {
  while read -r archive; do
    echo "$archive" >> "$state/archives"
    echo "progress: $(wc -l < "$state/archives") of ${#names[@]} packages"
  done
} || fail "apt-get did not bring all packages of Debian $suite."
LC_ALL=C sort "$state/archives" > "$folder/packages.txt"
[ "$(wc -l < "$folder/packages.txt")" -eq "${#names[@]}" ] || fail "apt-get brought $(wc -l < "$folder/packages.txt") of ${#names[@]} packages."
rm -r "$state"
