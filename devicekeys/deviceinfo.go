package devicekeys

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"openmediator/d2m"
	"openmediator/devicekeys/devicepb"
)

// MaxDeviceInfoPlainSize is the most plain bytes that fit into a device info.
const MaxDeviceInfoPlainSize = d2m.MaxDeviceInfoSize - BoxOverhead

// DeviceInfo is what a device tells the others of its group about itself. The
// texts are UTF-8 and come from a peer: they may hold control characters.
type DeviceInfo struct {
	Platform        Platform
	PlatformDetails string
	AppVersion      string
	Label           string // given by the user
}

// Platform is what a device runs on.
type Platform int32

// The platforms. Others are kept as they are.
const (
	PlatformUnspecified Platform = 0
	PlatformAndroid     Platform = 1
	PlatformIOS         Platform = 2
	PlatformDesktop     Platform = 3
	PlatformWeb         Platform = 4
)

// String returns the platform in a word.
func (p Platform) String() string {
	switch p {
	case PlatformUnspecified:
		return "unspecified"
	case PlatformAndroid:
		return "Android"
	case PlatformIOS:
		return "iOS"
	case PlatformDesktop:
		return "desktop"
	case PlatformWeb:
		return "web"
	}
	return fmt.Sprintf("platform %d", int32(p))
}

// Append appends the plain bytes for [Keys.SealDeviceInfo] to dst, with a padding
// whose length and bytes come from rand. If the rest leaves room for less, the
// padding is shorter. Errors: a rest above MaxDeviceInfoPlainSize, a text that is
// not UTF-8, and those of rand.
func (d DeviceInfo) Append(dst []byte, rand io.Reader) ([]byte, error) {
	return appendPadded("device info", dst, rand, &devicepb.DeviceInfo{
		Platform:        devicepb.DeviceInfo_Platform(d.Platform),
		PlatformDetails: d.PlatformDetails,
		AppVersion:      d.AppVersion,
		Label:           d.Label,
	}, MaxDeviceInfoPlainSize)
}

// ParseDeviceInfo reads plain bytes from [Keys.OpenDeviceInfo].
func ParseDeviceInfo(plain []byte) (DeviceInfo, error) {
	var pb devicepb.DeviceInfo
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(plain, &pb); err != nil {
		return DeviceInfo{}, errors.New("device info is not valid protobuf")
	}
	return DeviceInfo{
		Platform:        Platform(pb.Platform),
		PlatformDetails: pb.PlatformDetails,
		AppVersion:      pb.AppVersion,
		Label:           pb.Label,
	}, nil
}
