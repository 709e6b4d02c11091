package snapshot

import "hybrid/control-plane/internal/catalog"

// LargeEncoder makes resources so large that hardly two fit one part.
type LargeEncoder struct{}

func (LargeEncoder) Resource(catalog.AnyResource) []byte { return make([]byte, partBytes*2/3) }
func (LargeEncoder) Part(_ *Update, p Part) []byte       { return make([]byte, len(p.Entries)) }
