#!/usr/bin/env bash
# Builds container images from this machine's own programs, for machines that cannot pull images:
#
#   eng/images/build.sh             hybrid-local/postgres:<major version> and hybrid-local/kafka:4
#   eng/images/build.sh postgres    one of the two
#
# They take the environment variables of the images `postgres` and `apache/kafka`. Needed: a container engine (docker, or the
# one that ENGINE names); the binaries of a PostgreSQL server; Kafka's jars in HYBRID_KAFKA_HOME, and Java 17 or newer.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
engine="${ENGINE:-docker}"
context="$(mktemp -d)"
trap 'rm -rf "$context"' EXIT
root="$context/root"

fail() {
  echo "$*" >&2
  exit 1
}

# Copies files and folders to their own paths under the root; links become what they link to.
add() {
  local file
  for file in "$@"; do
    mkdir -p "$root$(dirname "$file")"
    cp -rL "$file" "$root$(dirname "$file")/"
  done
}

# Copies the shared libraries that programs and libraries load.
add_libraries_of() {
  local library
  while read -r library; do
    [ -e "$root$library" ] || add "$library"
  done < <(ldd "$@" 2> /dev/null | grep '^[[:space:]]' | grep -o '/[^ ]*' | sort -u)
}

# Copies programs of the PATH into /bin, with their libraries.
add_programs() {
  local name program
  mkdir -p "$root/bin"
  for name in "$@"; do
    program="$(command -v "$name")" || fail "The image needs $name, which is not on this machine."
    cp -L "$program" "$root/bin/"
    add_libraries_of "$program"
  done
}

# What every image has: a shell, the programs of its entry point, one plain user, and a place for temporary files.
begin() {
  local user="$1" id="$2"
  rm -rf "$root"
  mkdir -p "$root/etc" "$root/tmp" "$root/usr/bin"
  chmod 1777 "$root/tmp"
  add_programs bash sh cat chmod chown env id ls mkdir mv rm sed sleep
  ln -s ../../bin/env "$root/usr/bin/env"
  printf 'root:x:0:0::/:/bin/sh\n%s:x:%s:%s::/:/bin/sh\n' "$user" "$id" "$id" > "$root/etc/passwd"
  printf 'root:x:0:\n%s:x:%s:\n' "$user" "$id" > "$root/etc/group"
  [ ! -d /usr/lib/locale/C.utf8 ] || add /usr/lib/locale/C.utf8
}

finish() {
  local image="$1" folder="$2"
  cp "$here/$folder"/* "$context/"
  "$engine" build -q -t "$image" "$context" > /dev/null
  echo "$image"
}

build_postgres() {
  local bin major libraries share program
  bin="${HYBRID_POSTGRES_BIN:-$(dirname "$(readlink -f "$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -1)")")}"
  [ -x "$bin/postgres" ] && [ -x "$bin/pg_isready" ] || fail "There are no PostgreSQL binaries in '$bin'. HYBRID_POSTGRES_BIN names another folder."
  major="$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')"
  libraries="$("$bin/pg_config" --pkglibdir)"
  share="$("$bin/pg_config" --sharedir)"

  begin postgres 999
  add_programs setpriv
  for program in initdb postgres pg_ctl pg_isready psql; do
    add "$bin/$program"
    add_libraries_of "$bin/$program"
  done
  add "$libraries" "$share" /usr/share/zoneinfo
  # The just-in-time compiler is optional, and far larger than the rest.
  rm -rf "$root$libraries/llvmjit.so" "$root$libraries/bitcode"
  add_libraries_of "$root$libraries"/*.so
  sed -i "s/^#*listen_addresses = .*/listen_addresses = '*'/" "$root$share/postgresql.conf.sample"
  ln -s "$bin"/{initdb,postgres,pg_ctl,pg_isready,psql} "$root/bin/"
  finish "hybrid-local/postgres:$major" postgres
}

build_kafka() {
  local home="${HYBRID_KAFKA_HOME:-}" java
  ls "$home"/libs/kafka_*.jar > /dev/null 2>&1 || fail "HYBRID_KAFKA_HOME='$home' holds no Kafka: no libs/kafka_*.jar there."
  java="$(readlink -f "$(command -v java)")" || fail "There is no Java."
  java="$(dirname "$(dirname "$java")")"

  begin appuser 1000
  mkdir -p "$root/opt/kafka"
  cp -rL "$home/libs" "$root/opt/kafka/"
  if [ -d "$java/jmods" ]; then
    "$java/bin/jlink" --add-modules java.se,jdk.crypto.ec,jdk.management,jdk.unsupported --strip-java-debug-attributes \
      --no-header-files --no-man-pages --compress=2 --output "$root/opt/java"
    "$root/opt/java/bin/java" -Xshare:dump > /dev/null
  else
    cp -rL "$java" "$root/opt/java" 2> /dev/null || [ -x "$root/opt/java/bin/java" ]
  fi
  add_libraries_of "$root/opt/java/bin/java" "$root"/opt/java/lib/*.so "$root"/opt/java/lib/*/*.so
  rm -rf "$root$context"
  finish hybrid-local/kafka:4 kafka
}

"$engine" info > /dev/null 2>&1 || fail "$engine does not answer."
for image in "${@:-postgres kafka}"; do
  for name in $image; do
    case "$name" in
      postgres | kafka) "build_$name" ;;
      *) fail "Unknown image '$name': postgres or kafka." ;;
    esac
  done
done
