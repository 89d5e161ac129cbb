package devicekeys

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// paddingField is the number of the padding in each content that has one. It goes
// out first.
const paddingField = 1

// maxPaddingSize is the most bytes of padding.
const maxPaddingSize = 255

// appendPadded appends a padding of 0 to 255 bytes from rand, and m. Of at most
// limit bytes the padding takes what m leaves.
func appendPadded(what string, dst []byte, rand io.Reader, m proto.Message, limit int) ([]byte, error) {
	size := proto.Size(m)
	if size > limit {
		return dst, fmt.Errorf("%s has %d bytes, want at most %d", what, size, limit)
	}
	var random [1 + maxPaddingSize]byte
	if _, err := io.ReadFull(rand, random[:]); err != nil {
		return dst, fmt.Errorf("%s: random source: %w", what, err)
	}
	padded := dst
	if padding := min(int(random[0]), limit-size-paddingOverhead); padding > 0 {
		padded = protowire.AppendTag(padded, paddingField, protowire.BytesType)
		padded = protowire.AppendBytes(padded, random[1:1+padding])
	}
	padded, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(padded, m)
	if err != nil {
		return dst, fmt.Errorf("%s: text is not valid UTF-8", what)
	}
	return padded, nil
}

// paddingOverhead is the padding's tag and its length, which is below 2¹⁴.
const paddingOverhead = 1 + 2
