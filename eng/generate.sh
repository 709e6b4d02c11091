#!/usr/bin/env bash
# Makes the committed Go code of the contracts, and the OpenAPI document, for `dotnet run --project eng/Toolchain -- generate`. C# and
# Rust make theirs while they build.
#
#   eng/generate.sh GRPC_TOOLS [PLUGINS]     # the NuGet package Grpc.Tools; a folder of protoc's plugins for Go, else they are built
set -euo pipefail
cd "$(dirname "$0")/../go-control-plane"
protos="$(cd ../protos && pwd)" http="$(cd ../protos && pwd)/hybrid/http.yaml"
tools="$1" plugins="${2:-}"

# The package's builds are universal on macOS.
case "$(uname -sm)" in
  Darwin*) platform=macosx_universal ;;
  *aarch64 | *arm64) platform=linux_arm64 ;;
  *) platform=linux_x64 ;;
esac

version_of() { awk -v module="$1" '$1 == "require" { $1 = $2; $2 = $3 } $1 == module { print $2 }' go.mod; }
if [ -z "$plugins" ]; then
  plugins="$(cd .. && pwd)/.toolchain/generators"
  gateway=github.com/grpc-ecosystem/grpc-gateway/v2
  # The generator of gRPC's code is a module of its own, which go.mod does not require.
  for plugin in "google.golang.org/protobuf/cmd/protoc-gen-go@$(version_of google.golang.org/protobuf)" \
    google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1 \
    "$gateway/protoc-gen-grpc-gateway@$(version_of "$gateway")" \
    "$gateway/protoc-gen-openapiv2@$(version_of "$gateway")"; do
    echo "building $plugin"
    GOBIN="$plugins" go install "$plugin"
  done
fi

rm -rf gen
mkdir gen
files="$(cd "$protos" && find hybrid -name '*.proto' | LC_ALL=C sort)"
module=module=hybrid/control-plane/gen
# shellcheck disable=SC2086 # one argument a file
PATH="$plugins:$PATH" "$tools/tools/$platform/protoc" -I "$protos" -I "$tools/build/native/include" \
  --go_out=gen --go_opt="$module" \
  --go-grpc_out=gen --go-grpc_opt="$module" \
  --grpc-gateway_out=gen --grpc-gateway_opt="$module,grpc_api_configuration=$http,generate_unbound_methods=false" \
  --openapiv2_out=internal/httpapi \
  --openapiv2_opt="grpc_api_configuration=$http,allow_merge=true,merge_file_name=openapi,json_names_for_fields=true,disable_default_errors=true" \
  $files
