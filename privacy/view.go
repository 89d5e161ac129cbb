package privacy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"openmediator/d2m"
)

// View names connections and groups as far as a policy allows. Its methods may be called by several goroutines.
type View struct {
	key    [32]byte // of the pseudonyms: of this start, and nowhere but in memory
	policy atomic.Pointer[Policy]
}

// NewView returns a view whose pseudonyms have nothing to do with those of any other.
func NewView(p Policy) *View {
	v := new(View)
	rand.Read(v.key[:])
	v.SetPolicy(p)
	return v
}

// SetPolicy puts another policy in place, for all values that there are already, too.
func (v *View) SetPolicy(p Policy) { v.policy.Store(&p) }

// Level returns the level that holds now.
func (v *View) Level() Level { return v.policy.Load().At(time.Now()) }

// NewPseudonym returns a name for a connection: 8 hexadecimal digits that link what is said of it and mean nothing besides.
func NewPseudonym() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Pseudonym returns the name of a group: 8 hexadecimal digits, the same for all of one start of the server, which lead to the
// group only with a key that is in its memory alone. It does not depend on the level, so it is for what an operator sees
// and does at the server itself; a log gets a [Who].
func (v *View) Pseudonym(group d2m.GroupID) string {
	mac := hmac.New(sha256.New, v.key[:])
	mac.Write(group[:])
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

// SlotPseudonym returns the name of a device slot, of the same kind as a group's, for what an operator sees and does at the
// server itself. No log has it.
func (v *View) SlotPseudonym(group d2m.GroupID, device d2m.DeviceID) string {
	mac := hmac.New(sha256.New, v.key[:])
	mac.Write(binary.LittleEndian.AppendUint64(group[:], uint64(device))) // longer than a group alone: no slot is named like a group
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

// Group returns what may be said of a group.
func (v *View) Group(group d2m.GroupID) Who { return Who{view: v, group: &group} }

// Connection returns what may be said of a connection with a pseudonym.
func (v *View) Connection(pseudonym string, address net.Addr, group d2m.GroupID) Who {
	return Who{view: v, connection: pseudonym, address: address, group: &group}
}

// Who is somebody. It is printed as its view's level allows when it is printed, by every verb of package fmt, in JSON and in
// a log alike.
type Who struct {
	view       *View
	connection string // pseudonym; empty for a group
	address    net.Addr
	group      *d2m.GroupID
}

// field is something that may be told.
type field struct{ name, value string }

// fields are what may be told now.
func (w Who) fields() (fields []field) {
	level := w.view.Level()
	if w.connection != "" {
		fields = append(fields, field{"connection", w.connection})
		if level == Full {
			fields = append(fields, field{"address", w.address.String()})
		}
	}
	switch level {
	case Operator:
		fields = append(fields, field{"group", w.view.Pseudonym(*w.group)})
	case Full:
		fields = append(fields, field{"group", hex.EncodeToString(w.group[:])})
	}
	return fields
}

// MarshalZerologObject implements [zerolog.LogObjectMarshaler]: use it with EmbedObject.
func (w Who) MarshalZerologObject(e *zerolog.Event) {
	for _, f := range w.fields() {
		e.Str(f.name, f.value)
	}
}

// Format implements [fmt.Formatter], so that no verb shows more.
func (w Who) Format(s fmt.State, _ rune) { fmt.Fprint(s, w.String()) }

// String implements [fmt.Stringer].
func (w Who) String() string {
	text := ""
	for _, f := range w.fields() {
		if text != "" {
			text += " "
		}
		text += f.name + " " + f.value
	}
	return text
}

// MarshalText implements [encoding.TextMarshaler], and by it JSON.
func (w Who) MarshalText() ([]byte, error) { return []byte(w.String()), nil }
