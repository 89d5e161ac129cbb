package d2m

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// decodeOnlyPaths are the notes of the paths that we read and do not write.
var decodeOnlyPaths = map[string]bool{
	"upper-case hex": true,
	"an unknown field and the reserved numeric field 2": true,
}

func TestVectorPaths(t *testing.T) {
	notes := map[string]bool{}
	for _, v := range readVectors(t).ClientURLInfo {
		notes[v.Note] = true
		want := ClientURLInfo{GroupID: GroupID(v.GroupID), ServerGroup: v.ServerGroup}
		for _, path := range []string{v.Path, want.Segment()} {
			got, err := ParsePath(path)
			if err != nil {
				t.Fatalf("path %s: %v", path, err)
			}
			if got != want {
				t.Errorf("path %s: got %x %s, want %x %s", path, got.GroupID, got.ServerGroup, want.GroupID, want.ServerGroup)
			}
		}
		if exact := want.Segment() == v.Path; exact == decodeOnlyPaths[v.Note] {
			t.Errorf("segment is %s, vector with note %q is %s", want.Segment(), v.Note, v.Path)
		}
	}
	for note := range decodeOnlyPaths {
		if !notes[note] {
			t.Errorf("no path has the note %q", note)
		}
	}
}

func TestB1_VectorInvalidPaths(t *testing.T) {
	for _, v := range readVectors(t).ClientURLInfoInvalid {
		t.Run(v.Why, func(t *testing.T) {
			for _, base := range []string{"", "/", "/mediator/", "//"} {
				info, err := ParsePath(base + v.Path)
				if err == nil {
					t.Fatalf("path is taken as server group %s", info.ServerGroup)
				}
				checkSentence(t, err, v.Path)
			}
		})
	}
}

// checkSentence looks whether an error can be sent to anybody: one short sentence
// that holds nothing of the path.
func checkSentence(t *testing.T, err error, path string) {
	t.Helper()
	text := err.Error()
	if len(text) > 80 || strings.ContainsAny(text, "\n.;%\"") || !strings.Contains(text, " ") {
		t.Errorf("error %q is not one plain sentence", text)
	}
	for i := 0; i+8 <= len(path); i++ {
		if strings.Contains(text, path[i:i+8]) {
			t.Errorf("error %q holds a piece of the path", text)
		}
	}
}

const groupHex = "c4f2c20ba7b8f7843de08f67b337f5bb8754aa5d0b8d1836a28440a3d1a5b85a"

func segmentOf(serverGroup string) string {
	return fmt.Sprintf("0a20%s1a%02x%x", groupHex, len(serverGroup), serverGroup)
}

func TestB1_LastSegmentCounts(t *testing.T) {
	segment := segmentOf("4f")
	for _, path := range []string{
		segment,
		"/" + segment,
		"//" + segment,
		"/mediator/" + segment,
		"/mediator//" + segment,
		"/4f/" + segment,
		"/a/b c/../" + segment,
		"/" + segmentOf("zz") + "/" + segment,
		"/" + strings.ToUpper(segment),
		"/not a segment/" + segment[:40] + strings.ToUpper(segment[40:]),
	} {
		info, err := ParsePath(path)
		if err != nil {
			t.Errorf("path %q: %v", path, err)
		} else if info.ServerGroup != "4f" || fmt.Sprintf("%x", info.GroupID) != groupHex {
			t.Errorf("path %q: got %x %s", path, info.GroupID, info.ServerGroup)
		}
	}
}

func TestB1_PathsRefused(t *testing.T) {
	segment := segmentOf("4f")
	long := strings.Repeat("a", 64)
	for _, c := range []struct{ name, path, want string }{
		{"trailing slash", "/" + segment + "/", "last path segment is empty"},
		{"root", "/", "last path segment is empty"},
		{"query not cut off", "/" + segment + "?a=b", "last path segment is not an even number of hex digits"},
		{"base alone", "/mediator", "last path segment is not an even number of hex digits"},
		{"escaped slash", "/a%2f" + segment, "last path segment is not an even number of hex digits"},
		{"space", "/" + segment + " ", "last path segment is not an even number of hex digits"},
		{"0x", "/0x" + segment, "last path segment is not an even number of hex digits"},
		{"not protobuf", "/ffffff", "last path segment is not valid protobuf"},
		{"group id of 33 bytes", "/0a2100" + groupHex + "1a0134", "device group id has 33 bytes, want 32"},
		{"no group id", "/1a0134", "device group id has 0 bytes, want 32"},
		{"group id as a number", "/08011a0134", "device group id has 0 bytes, want 32"},
		{"server group empty", "/" + segmentOf(""), "server group is not 1 to 63 letters and digits"},
		{"server group of 64", "/" + segmentOf(long), "server group is not 1 to 63 letters and digits"},
		{"server group with newline", "/" + segmentOf("a\n"), "server group is not 1 to 63 letters and digits"},
		{"server group beside ranges", "/" + segmentOf("a@"), "server group is not 1 to 63 letters and digits"},
		{"server group not ASCII", "/" + segmentOf("é"), "server group is not 1 to 63 letters and digits"},
		{"server group not UTF-8", "/" + segmentOf("\xff"), "last path segment is not valid protobuf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParsePath(c.path)
			if err == nil || err.Error() != c.want {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestServerGroupRange(t *testing.T) {
	const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	longest := strings.Repeat("Z", 63)
	for _, group := range []string{all, longest, "0", "Z"} {
		info, err := ParsePath("/" + segmentOf(group))
		if err != nil {
			t.Errorf("server group %q: %v", group, err)
		} else if info.ServerGroup != group || info.Segment() != segmentOf(group) {
			t.Errorf("server group %q came out as %q, segment %s", group, info.ServerGroup, info.Segment())
		}
	}
	for c := range 128 {
		group := string(rune(c))
		if got, want := validServerGroup(group), strings.Contains(all, group); got != want {
			t.Errorf("server group %q is valid: %v, want %v", group, got, want)
		}
	}
}

// The points of small order on the curve and on its twist, in each encoding that
// X25519 takes for them: it ignores the highest bit.
func TestB1_LowOrderPoints(t *testing.T) {
	points := []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
	for _, point := range points {
		data, err := hex.DecodeString(point)
		if err != nil {
			t.Fatal(err)
		}
		id := GroupID(data)
		for _, highBit := range []byte{0, 0x80} {
			id[31] ^= highBit
			if id.Valid() {
				t.Errorf("group id %x is valid", id)
			}
			info := ClientURLInfo{GroupID: id, ServerGroup: "4f"}
			if _, err := ParsePath(info.Segment()); err == nil || err.Error() != "device group id is a low-order point" {
				t.Errorf("group id %x: error is %v", id, err)
			}
		}
	}
}

// The list says the same as X25519 itself, for which every secret will do: around
// 0 and around p, where the encodings are that mean the same point, and elsewhere.
func TestB1_LowOrderListAgreesWithX25519(t *testing.T) {
	ids := []GroupID{lowOrderPoints[5], lowOrderPoints[6]}
	for i := range 40 {
		ids = append(ids, GroupID{byte(i)}, belowPowerOf255(i+1), GroupID{byte(i), 31: 0x80}, GroupID{5, byte(i), 77})
	}
	probe := mustPrivateKey([32]byte{1})
	refused := 0
	for _, id := range ids {
		_, err := sharedKey(probe, id)
		if id.Valid() != (err == nil) {
			t.Errorf("group id %x is valid: %v, X25519 says %v", id, id.Valid(), err)
		}
		if err != nil {
			refused++
		}
	}
	if refused != 9 { // the list, and 0 and 1 with the highest bit
		t.Errorf("X25519 refused %d group ids, want 9", refused)
	}
}

func FuzzParsePath(f *testing.F) {
	file := readVectors(f)
	seeds := append(file.ClientURLInfo, file.ClientURLInfoInvalid...)
	if len(seeds) < 10 {
		f.Fatalf("%d seeds", len(seeds))
	}
	for _, v := range seeds {
		f.Add("/base//" + v.Path)
	}
	f.Add("/" + string(protowire.AppendTag(nil, 1, protowire.BytesType)))
	f.Fuzz(func(t *testing.T, path string) {
		info, err := ParsePath(path)
		if err != nil {
			return
		}
		if again, err := ParsePath(info.Segment()); err != nil || again != info {
			t.Errorf("segment parses as %x %s (%v), want %x %s", again.GroupID, again.ServerGroup, err, info.GroupID, info.ServerGroup)
		}
	})
}

func ExampleParsePath() {
	info, err := ParsePath("/mediator//0A20" + strings.ToUpper(groupHex) + "1a023466")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.GroupID, info.ServerGroup)
	fmt.Println(info.Segment())

	_, err = ParsePath("/mediator/")
	fmt.Println(err)
	// Output:
	// c4f2c20b… 4f
	// 0a20c4f2c20ba7b8f7843de08f67b337f5bb8754aa5d0b8d1836a28440a3d1a5b85a1a023466
	// last path segment is empty
}
