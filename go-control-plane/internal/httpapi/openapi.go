package httpapi

import _ "embed"

// openAPI is the OpenAPI document of the REST API, generated from the protos.
//
//go:embed openapi.swagger.json
var openAPI []byte
