// Package gen holds the code and the document that are generated from the protos.
package gen

import _ "embed"

// OpenAPI is the OpenAPI document of the REST face.
//
//go:embed openapi.swagger.json
var OpenAPI []byte
