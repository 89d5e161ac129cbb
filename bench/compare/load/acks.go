package load

import "io"

// AckWriter gathers the acknowledgements of a receiver and writes them at once.
type AckWriter struct {
	W      io.Writer
	Single bool // each is written by itself

	out []byte
}

// Add adds an acknowledgement, given in parts.
func (a *AckWriter) Add(parts ...[]byte) error {
	for _, part := range parts {
		a.out = append(a.out, part...)
	}
	if a.Single {
		return a.Flush()
	}
	return nil
}

// Flush writes what was added since the last one.
func (a *AckWriter) Flush() error {
	if len(a.out) == 0 {
		return nil
	}
	_, err := a.W.Write(a.out)
	a.out = a.out[:0]
	return err
}
