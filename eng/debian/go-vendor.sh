#!/usr/bin/env bash
# Makes a Go module's vendor folder out of unpacked Debian packages, so that plain `go build`, `go test` and gopls work where no module
# proxy answers. go.mod stays the public one: modules.txt claims the versions that it requires, and the sources are Debian's.
#
#   eng/debian/go-vendor.sh SOURCES MODULE FOLDER
#
# SOURCES is Debian's GOPATH source folder, MODULE the folder of go.mod; FOLDER, on the file system of SOURCES, becomes vendor.
set -euo pipefail
sources="$1" folder_of_module="$2" vendor="$3"
manifest="$folder_of_module/go.mod"

# "path version" of each required module.
required="$(sed -nE 's#^\s*(require\s+)?([A-Za-z0-9_.~-]+\.[A-Za-z0-9_.~-]+/[A-Za-z0-9_./~-]+)\s+(v\S+).*#\2 \3#p' "$manifest")"
# Debian's versions of the required modules import these; the newer public ones do not, so go.mod need not name them. Go refuses a
# vendored module that go.mod lacks, but not packages listed under the last module that it has.
imported_by_debian_only='github.com/cespare/xxhash/v2
github.com/golang/protobuf
github.com/pmezard/go-difflib
gopkg.in/yaml.v3
github.com/eapache/queue
github.com/golang/snappy'
modules="$(cut -d ' ' -f 1 <<< "$required")"$'\n'"$imported_by_debian_only"

# Links one module in, and prints the import paths of its packages. A module that Debian lacks has none.
link() {
  local module="$1" folder
  # Debian leaves the major version out of some paths.
  for folder in "$sources/$module" "$sources/$(sed -E 's#/v[0-9]+$##' <<< "$module")"; do
    [ -d "$folder" ] || continue
    mkdir -p "$vendor/$module"
    # Hard links of the files themselves: go embeds no symbolic links.
    cp -rlLf "$folder/." "$vendor/$module"
    packages "$module" "$folder"
    return
  done
}

# Prints the import paths of the packages of a module.
packages() {
  (cd "$2" && find -L . -name '*.go' ! -name '*_test.go' ! -path '*/testdata/*' ! -path '*/vendor/*' \
    ! -path '*/_*' ! -path '*/.?*/*' -printf '%h\n') \
    | sed -E "s#^\.#$1#" | LC_ALL=C sort -u | without_other_modules "$1"
}

# Prints "path folder" of each module of this clone that stands in for one that is required.
replaced() {
  sed -nE 's#^replace\s+(\S+)\s+=>\s+(\.\S+).*#\1 \2#p' "$manifest"
}

# Packages of a module that lies inside another one are its own.
without_other_modules() {
  awk -v module="$1" 'FNR == NR { if (index($1, module "/") == 1) inner[$1]; next }
    { for (other in inner) if (index($1 "/", other "/") == 1) next; print }' <(echo "$modules") -
}

{
  while read -r module version; do
    printf '# %s %s\n## explicit; go 1.24\n' "$module" "$version"
    link "$module"
  done <<< "$required"
  for module in $imported_by_debian_only; do
    grep -q "^$module " <<< "$required" || link "$module"
  done
  while read -r module folder; do
    version="$(sed -nE "s#^\s*(require\s+)?$module\s+(v\S+).*#\2#p" "$manifest")"
    printf '# %s %s => %s\n## explicit; %s\n' "$module" "$version" "$folder" "$(grep '^go ' "$folder_of_module/$folder/go.mod")"
    packages "$module" "$folder_of_module/$folder"
    mkdir -p "$vendor/$(dirname "$module")"
    # A link to the module itself, whose code changes: from the link's folder up to the module's, and from there on.
    ln -s "$(dirname "$module" | sed -E 's#[^/]+#..#g')/../$folder" "$vendor/$module"
  done < <(replaced)
  # Replacements of any version stand once more at the end.
  while read -r module folder; do
    printf '# %s => %s\n' "$module" "$folder"
  done < <(replaced)
} > "$vendor/modules.txt"
