package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"hybrid/control-plane/internal/grpcapi"
)

// What every door accepts is one rule, here and in the data plane: a body is exactly one JSON value in UTF-8 without a byte
// order mark, with the member names of the protobuf JSON mapping, each at most once and none that is unknown. A query has
// known parameters only, each once. A path and a body that name different things are an error.

// strictQuery refuses query parameters that the gateway would ignore.
type strictQuery struct{ runtime.DefaultQueryParser }

func (p *strictQuery) Parse(message proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	for name, given := range values {
		if len(given) > 1 {
			return fmt.Errorf("the query parameter %q is given %d times", name, len(given))
		}
		field := fieldAt(message.ProtoReflect().Descriptor(), strings.Split(name, "."))
		if field == nil || filter.HasCommonPrefix(strings.Split(name, ".")) {
			return fmt.Errorf("the query parameter %q is unknown", name)
		}
		if p.DefaultQueryParser.Parse(message, url.Values{name: given}, filter) != nil {
			return fmt.Errorf("the query parameter %q is not %s", name, kindOf(field))
		}
	}
	return nil
}

// kindOf says what a value of a field is.
func kindOf(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number of 32 bits"
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "a whole number of 64 bits"
	default:
		return "a value of its type"
	}
}

// fieldAt returns the field that a path leads to; nil if there is none.
func fieldAt(message protoreflect.MessageDescriptor, path []string) (field protoreflect.FieldDescriptor) {
	for _, name := range path {
		if message == nil {
			return nil
		}
		if field = message.Fields().ByTextName(name); field == nil {
			field = message.Fields().ByJSONName(name)
		}
		if field == nil {
			return nil
		}
		message = field.Message()
	}
	return field
}

// withoutQuery serves what has no query parameters, and which the gateway therefore does not parse.
func withoutQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			queryUnknown(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func queryUnknown(w http.ResponseWriter) {
	problemOf(grpcapi.Status(codes.InvalidArgument, "REQUEST_MALFORMED", "there are no query parameters here")).write(w)
}

// agreeing is a middleware of the gateway that refuses a body which names another thing than the path does, and a query for one
// thing that the path names.
func agreeing(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		switch {
		case r.Method == http.MethodGet && len(path) > 0 && r.URL.RawQuery != "":
			queryUnknown(w)
			return
		case r.Method != http.MethodPut:
			next(w, r, path)
			return
		}
		// guard has limited it, and reading from memory does not fail.
		content, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(content))
		var body map[string]json.RawMessage
		// A body that is no object is refused by the decoder.
		_ = json.Unmarshal(content, &body)
		for variable, want := range path {
			name := variable[strings.LastIndexByte(variable, '.')+1:]
			for _, member := range []string{name, jsonName(name)} {
				var got string
				if value, ok := body[member]; ok && json.Unmarshal(value, &got) == nil && got != want {
					problemOf(grpcapi.Status(codes.InvalidArgument, "REQUEST_MALFORMED",
						fmt.Sprintf("the path names %q, and the body's %s is %q", want, member, got))).write(w)
					return
				}
			}
		}
		next(w, r, path)
	}
}

// jsonName is the name of a field in the protobuf JSON mapping: promotion_id is promotionId.
func jsonName(field string) string {
	words := strings.Split(field, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

var errNotJSON = errors.New("the body is not one JSON value")

// checkJSON reports what keeps a body from being one JSON value in UTF-8.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	if !json.Valid(body) {
		return errNotJSON
	}
	return nil
}

// cutLists leaves the elements out of a document, which is JSON, that are too many for a list. It changes the document in place.
func cutLists(document []byte, most int) []byte {
	// elements has how many elements have begun in each list that is open; an object, and what is left out, count none.
	elements := make([]int, 0, 8)
	const uncounted = -1
	out, inText, without := document[:0], false, 0
	for i := 0; i < len(document); i++ {
		c := document[i]
		kept := without == 0
		switch {
		case inText && c == '\\':
			if kept {
				out = append(out, c)
			}
			i++
			c = document[i]
		case c == '"':
			inText = !inText
		case inText:
		case c == '{':
			elements = append(elements, uncounted)
		case c == '[':
			elements = append(elements, 1)
		case c == '}', c == ']':
			if without == len(elements) {
				without, kept = 0, true
			}
			elements = elements[:len(elements)-1]
		case c == ',' && kept && elements[len(elements)-1] != uncounted:
			if elements[len(elements)-1]++; elements[len(elements)-1] > most {
				without, kept = len(elements), false
			}
		}
		if kept {
			out = append(out, c)
		}
	}
	return out
}

// members returns the members of a body that is one object with known names, each at most once. Other than encoding/json's
// structs, it distinguishes upper and lower case.
func members(body []byte, known ...string) (map[string]json.RawMessage, error) {
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("the body is not an object")
	}
	found := make(map[string]json.RawMessage, len(known))
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, errNotJSON
		}
		name, _ := token.(string)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("the member %q is unknown", name)
		}
		if _, ok := found[name]; ok {
			return nil, fmt.Errorf("the member %q is given twice", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errNotJSON
		}
		found[name] = value
	}
	return found, nil
}
