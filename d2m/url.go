package d2m

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"openmediator/d2m/d2mpb"
)

// maxServerGroupSize is the longest server group in bytes.
const maxServerGroupSize = 63

// ClientURLInfo is the last path segment of the URL that a device connects to.
type ClientURLInfo struct {
	GroupID     GroupID
	ServerGroup string // 1 to 63 of 0-9, a-z, A-Z
}

// ParsePath reads the path of a URL, without its query. Its last segment counts,
// whatever comes before it and however many slashes; after a trailing slash that
// segment is empty, which is an error. Hex digits may be of either case.
//
// Every error is one sentence that can be sent with HTTP 400 (B1): it holds
// nothing of the path.
func ParsePath(path string) (ClientURLInfo, error) {
	segment := path[strings.LastIndexByte(path, '/')+1:]
	if segment == "" {
		return ClientURLInfo{}, errors.New("last path segment is empty")
	}
	data, err := hex.DecodeString(segment)
	if err != nil {
		return ClientURLInfo{}, errors.New("last path segment is not an even number of hex digits")
	}
	var pb d2mpb.ClientUrlInfo
	if err := parseProto("last path segment", data, &pb); err != nil {
		return ClientURLInfo{}, err
	}
	if len(pb.DeviceGroupId) != len(GroupID{}) {
		return ClientURLInfo{}, fmt.Errorf("device group id has %d bytes, want %d", len(pb.DeviceGroupId), len(GroupID{}))
	}
	if !validServerGroup(pb.ServerGroup) {
		return ClientURLInfo{}, errors.New("server group is not 1 to 63 letters and digits")
	}
	info := ClientURLInfo{GroupID: GroupID(pb.DeviceGroupId), ServerGroup: pb.ServerGroup}
	if !info.GroupID.Valid() {
		return ClientURLInfo{}, errors.New("device group id is a low-order point")
	}
	return info, nil
}

// Segment returns the path segment in lowercase hex.
func (i ClientURLInfo) Segment() string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(&d2mpb.ClientUrlInfo{
		DeviceGroupId: i.GroupID[:],
		ServerGroup:   i.ServerGroup,
	})
	if err != nil {
		panic("d2m: server group cannot be encoded: " + err.Error())
	}
	return hex.EncodeToString(data)
}

func validServerGroup(group string) bool {
	if group == "" || len(group) > maxServerGroupSize {
		return false
	}
	for _, c := range []byte(group) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
