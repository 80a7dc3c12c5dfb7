package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/burnkey/burnkey/jwks"
)

// appendFeedChange appends the event of a change. If set has the change's version, the event has its fingerprint.
func appendFeedChange(dst []byte, workspace string, c jwks.Change, set *Set) []byte {
	dst = fmt.Appendf(dst, "id: %s/%d\nevent: change\ndata: {\"workspace\":%q,", workspace, c.Version, workspace)
	dst = append(dst, bytes.TrimSuffix(mustJSON(c)[1:], []byte("}"))...)
	if !c.Unsigned.IsZero() {
		dst = append(append(dst, ','), bytes.TrimSuffix(mustJSON(c.Unsigned)[1:], []byte("}"))...)
	}
	if set.version == c.Version {
		dst = append(append(append(dst, `,"fingerprint":"`...), set.feedPrint.String()...), '"')
	}
	return append(dst, "}\n\n"...)
}

// mustJSON returns the JSON form of a value that always has one.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers, base64url, times and addresses
	}
	return text
}

// appendFeedSet appends the event of a whole set. It returns false if that is too long for the stream.
func appendFeedSet(dst []byte, workspace string, set *Set) ([]byte, bool) {
	if set.entries() > feedSmall {
		return dst, false
	}
	var body bytes.Buffer
	_ = set.writeFeed(&body, false) // a bytes.Buffer does not fail
	if body.Len() > feedEventMax {
		return dst, false
	}
	dst = fmt.Appendf(dst, "id: %s/%d\nevent: set\ndata: {\"workspace\":%q,\"version\":%d,\"fingerprint\":\"%s\",",
		workspace, set.version, workspace, set.version, set.feedPrint)
	return append(append(dst, body.Bytes()[1:]...), "\n\n"...), true
}

// appendFeedReset appends the event after which a reader fetches the set.
func appendFeedReset(dst []byte, workspace string, version uint64) []byte {
	return fmt.Appendf(dst, "event: reset\ndata: {\"workspace\":%q,\"version\":%d}\n\n", workspace, version)
}

// writeFeed writes the JSON form with the members set and limits, settings if one differs from its default, and imported
// if there are imported keys.
func (s *Set) writeFeed(w io.Writer, gzip bool) error {
	if gzip {
		return s.writeGzip(w, s.feedTail)
	}
	_, err := s.writePlain(w, s.feedTail)
	return err
}

// feedTail yields the attributes of the keys, the limits, the settings and the imported keys.
func (s *Set) feedTail(yield func([]byte) bool) {
	piece := append(make([]byte, 0, feedPage), `],"set":{`...)
	first := true
	for leaf := range s.root.leaves {
		for i := range leaf.attrs {
			if leaf.attrs[i] == nil {
				continue
			}
			if !first {
				piece = append(piece, ',')
			}
			first = false
			kid := leaf.keys[i].KID()
			piece = append(strconv.AppendQuote(piece, kid.String()), ':')
			piece = append(piece, mustJSON(leaf.attrs[i])...)
		}
		if len(piece) >= feedPage {
			if !yield(piece) {
				return
			}
			piece = piece[:0]
		}
	}
	piece = append(piece, `},"limits":[`...)
	for i, limits := range s.shared {
		if i > 0 {
			piece = append(piece, ',')
		}
		if piece = append(piece, mustJSON(limits)...); len(piece) >= feedPage {
			if !yield(piece) {
				return
			}
			piece = piece[:0]
		}
	}
	piece = append(piece, ']')
	if !s.settings.IsDefault() {
		piece = append(append(piece, `,"settings":`...), mustJSON(s.settings)...)
	}
	piece, ok := s.importedTail(piece, yield)
	if !ok {
		return
	}
	yield(append(piece, '}'))
}
