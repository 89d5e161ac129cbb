package kdf_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"openmediator/kdf"
)

// vector is one case of testdata/blake2b.json, which testdata/vectors.py makes
// with Python's hashlib.
type vector struct {
	Size     int
	Key      string
	Salt     string
	Personal string
	Input    string
	Sum      string
}

func TestVectors(t *testing.T) {
	vectors := readVectors(t)
	sizes := map[int]int{}
	for i, v := range vectors {
		sizes[v.Size]++
		t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
			input := unhex(t, v.Input)
			cut := len(input) / 3
			for _, parts := range [][][]byte{{input}, {input[:cut], nil, input[cut:]}} {
				got, err := sum(v.Size, unhex(t, v.Key), v.Salt, v.Personal, parts...)
				if err != nil {
					t.Fatal(err)
				}
				if hex.EncodeToString(got) != v.Sum {
					t.Errorf("sum of %d parts is %x, want %s", len(parts), got, v.Sum)
				}
			}
		})
	}
	if sizes[32] < 50 || sizes[64] < 50 {
		t.Errorf("vectors per size are %v, want at least 50 of 32 and of 64", sizes)
	}
}

func TestSumIsNotAPrefixOfTheLongerOne(t *testing.T) {
	short, err := kdf.Sum256(nil, "", "")
	if err != nil {
		t.Fatal(err)
	}
	long, err := kdf.Sum512(nil, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.HasPrefix(long[:], short[:]) {
		t.Error("32-byte sum is a prefix of the 64-byte sum")
	}
}

func TestSaltIsPaddedWithZeroes(t *testing.T) {
	key := make([]byte, 32)
	short, err := kdf.Sum256(key, "p", "3ma-mdev")
	if err != nil {
		t.Fatal(err)
	}
	padded, err := kdf.Sum256(key, "p"+strings.Repeat("\x00", 15), "3ma-mdev"+strings.Repeat("\x00", 8))
	if err != nil {
		t.Fatal(err)
	}
	if short != padded {
		t.Errorf("sums differ: %x, padded %x", short, padded)
	}
}

func TestParametersThatAreTooLong(t *testing.T) {
	long := strings.Repeat("x", 17)
	for _, c := range []struct {
		name           string
		key            []byte
		salt, personal string
		want           string
	}{
		{"key", make([]byte, 65), "", "", "key has 65 bytes, at most 64"},
		{"salt", nil, long, "", "salt has 17 bytes, at most 16"},
		{"personal", nil, "", long, "personal has 17 bytes, at most 16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{32, 64} {
				if _, err := sum(size, c.key, c.salt, c.personal); err == nil || err.Error() != c.want {
					t.Errorf("error of %d bytes is %v, want %q", size, err, c.want)
				}
			}
		})
	}
}

func TestKeyIsNotChanged(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 64)
	if _, err := kdf.Sum512(key, "s", "p", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key, bytes.Repeat([]byte{7}, 64)) {
		t.Error("key was changed")
	}
}

func BenchmarkSum256(b *testing.B) {
	key := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kdf.Sum256(key, "p", "3ma-mdev"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleSum256() {
	deviceGroupKey := make([]byte, 32)
	pathKey, err := kdf.Sum256(deviceGroupKey, "p", "3ma-mdev")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x…\n", pathKey[:8])
	// Output: 4b464e5d33debe0d…
}

func sum(size int, key []byte, salt, personal string, input ...[]byte) ([]byte, error) {
	if size == 32 {
		out, err := kdf.Sum256(key, salt, personal, input...)
		return out[:], err
	}
	out, err := kdf.Sum512(key, salt, personal, input...)
	return out[:], err
}

func readVectors(t *testing.T) (vectors []vector) {
	t.Helper()
	data, err := os.ReadFile("testdata/blake2b.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
