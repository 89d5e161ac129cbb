package devicekeys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"openmediator/d2m"
	"openmediator/kdf"
)

// vectorFile is testdata/keys.json: keys derived by other implementations.
type vectorFile struct {
	About   string `json:"about"`
	Current []struct {
		DGK              key32 `json:"dgk"`
		PathKeySecret    key32 `json:"path_key_secret"`
		GroupID          key32 `json:"device_group_id"`
		ReflectKey       key32 `json:"reflect_key"`
		DeviceInfoKey    key32 `json:"device_info_key"`
		SharedDataKey    key32 `json:"shared_device_data_key"`
		TransactionScope key32 `json:"transaction_scope_key"`
	} `json:"current"`
	FromIdentity []struct {
		IdentityKey   key32 `json:"identity_private_key"`
		DGK           key32 `json:"device_group_key"`
		PathKeySecret key32 `json:"mediator_path_key_secret"`
		GroupID       key32 `json:"device_group_id"`
	} `json:"from_identity"`
}

type key32 [32]byte

func (k *key32) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return err
	}
	if len(b) != len(k) {
		return fmt.Errorf("key has %d bytes", len(b))
	}
	*k = key32(b)
	return nil
}

func readVectors(t testing.TB) (file vectorFile) {
	t.Helper()
	data, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Current) == 0 || len(file.FromIdentity) == 0 {
		t.Fatal("vectors of a scheme are missing")
	}
	return file
}

func checkKey(t *testing.T, name string, got, want [32]byte) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %x, want %x", name, got, want)
	}
}

func TestVectorsFromGroupKey(t *testing.T) {
	for _, v := range readVectors(t).Current {
		keys, err := FromGroupKey(v.DGK)
		if err != nil {
			t.Fatal(err)
		}
		checkKey(t, "path key", [32]byte(keys.PathKey().Bytes()), v.PathKeySecret)
		checkKey(t, "group id", keys.GroupID(), v.GroupID)
		checkKey(t, "reflect key", *keys.reflect, v.ReflectKey)
		checkKey(t, "device info key", *keys.deviceInfo, v.DeviceInfoKey)
		checkKey(t, "shared data key", *keys.sharedData, v.SharedDataKey)
		checkKey(t, "scope key", *keys.scope, v.TransactionScope)
	}
}

func TestVectorsFromIdentityKey(t *testing.T) {
	for _, v := range readVectors(t).FromIdentity {
		keys, err := FromIdentityKey(v.IdentityKey)
		if err != nil {
			t.Fatal(err)
		}
		checkKey(t, "path key", [32]byte(keys.PathKey().Bytes()), v.PathKeySecret)
		checkKey(t, "group id", keys.GroupID(), v.GroupID)

		dgk, err := kdf.Sum256(v.IdentityKey[:], "mk", "3ma-mdev")
		if err != nil {
			t.Fatal(err)
		}
		checkKey(t, "device group key", dgk, v.DGK)

		// The four other keys come from that device group key by the same salts.
		same, err := FromGroupKey(v.DGK)
		if err != nil {
			t.Fatal(err)
		}
		checkKey(t, "reflect key", *keys.reflect, *same.reflect)
		checkKey(t, "device info key", *keys.deviceInfo, *same.deviceInfo)
		checkKey(t, "shared data key", *keys.sharedData, *same.sharedData)
		checkKey(t, "scope key", *keys.scope, *same.scope)
		if keys.GroupID() == same.GroupID() {
			t.Error("both schemes give the same group id")
		}
	}
}

func TestPathKeyAnswersTheChallenge(t *testing.T) {
	keys := testKeys(t)
	verifier, err := d2m.NewVerifier(bytes.NewReader(bytes.Repeat([]byte{5}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	hello := verifier.Hello()
	response, err := d2m.Respond(keys.PathKey(), hello.ESK, hello.Challenge, [24]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if !verifier.Check(keys.GroupID(), &response) {
		t.Error("response is refused")
	}
}

func TestB42_KeysPrintNothing(t *testing.T) {
	v := readVectors(t).Current[2]
	keys, err := FromGroupKey(v.DGK)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, text := range []string{fmt.Sprintf(verb, keys), fmt.Sprintf(verb, *keys)} {
			if text != "keys of group 2fd17ba2…" {
				t.Errorf("%s prints %s", verb, text)
			}
		}
		if text := fmt.Sprintf(verb, *keys.reflect); text != "secret" {
			t.Errorf("%s prints a key as %s", verb, text)
		}
		for _, owner := range []any{struct{ Keys *Keys }{keys}, struct{ keys *Keys }{keys}, []*Keys{keys}} {
			text := strings.ToLower(fmt.Sprintf(verb, owner))
			decimal := strings.Trim(fmt.Sprint(v.ReflectKey[:4]), "[]")
			if strings.Contains(text, hex.EncodeToString(v.ReflectKey[:4])) || strings.Contains(text, decimal) {
				t.Errorf("%s of %T prints %s", verb, owner, text)
			}
		}
	}
}

// testKeys are those of a fixed group.
func testKeys(t testing.TB) *Keys {
	t.Helper()
	keys, err := FromGroupKey([32]byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func ExampleFromGroupKey() {
	var deviceGroupKey [32]byte // 32 random bytes, handed from device to device
	keys, err := FromGroupKey(deviceGroupKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys)
	fmt.Printf("%x\n", keys.GroupID())
	// Output:
	// keys of group 711d1eca…
	// 711d1eca221d457226c496839a5eff9f3dc1b69db6ba4288991b2285e717094f
}

func ExampleFromIdentityKey() {
	var identityKey [32]byte
	for i := range identityKey {
		identityKey[i] = byte(31 - i)
	}
	keys, err := FromIdentityKey(identityKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(keys.GroupID())
	// Output: 6b3d3f43…
}
