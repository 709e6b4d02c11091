package httpapi

import _ "embed"

// openAPI is the OpenAPI document of the REST face, generated from the protos.
//
//go:embed openapi.swagger.json
var openAPI []byte
