#!/bin/sh
# Lays out the C client of Kafka under the names that a linker and a loader look for.
#
#   eng/librdkafka.sh PACKAGE FOLDER     # the NuGet package librdkafka.redist, which the .NET client uses too
set -eu
case "$(uname -sm)" in
  "Darwin arm64") build=osx-arm64/native/librdkafka.dylib name=librdkafka.1.dylib link=librdkafka.dylib ;;
  Darwin*) build=osx-x64/native/librdkafka.dylib name=librdkafka.1.dylib link=librdkafka.dylib ;;
  # Of the package's builds for Linux these are the ones that need nothing but glibc.
  *aarch64) build=linux-arm64/native/librdkafka.so name=librdkafka.so.1 link=librdkafka.so ;;
  *) build=linux-x64/native/centos8-librdkafka.so name=librdkafka.so.1 link=librdkafka.so ;;
esac
cp "$1/runtimes/$build" "$2/$name"
chmod u+w "$2/$name"
ln -s "$name" "$2/$link"
if [ "$(uname -s)" = Darwin ]; then
  # There a program finds a library by the name that the library had at link time; this one is resolved by the program's rpath.
  install_name_tool -id "@rpath/$name" "$2/$name" || {
    echo "install_name_tool cannot prepare librdkafka. Install the Xcode command line tools: xcode-select --install"
    exit 1
  }
fi
