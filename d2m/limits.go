package d2m

// Sizes in bytes.
const (
	// MaxMessageSize is the largest frame, container included.
	MaxMessageSize = 65_536
	// HeaderSize is the container: type u8 · reserved 3.
	HeaderSize = 4
	// MaxProxyDataSize is the most that one Proxy carries.
	MaxProxyDataSize = MaxMessageSize - HeaderSize
	// MaxEnvelopeSize is the largest envelope. It is what fits into a Reflected,
	// whose header is 8 bytes longer than that of a Reflect.
	MaxEnvelopeSize = MaxMessageSize - HeaderSize - reflectedHeaderSize
	// MaxDeviceInfoSize is the largest encrypted device info in a ClientHello (B11).
	MaxDeviceInfoSize = 4096
	// MaxSharedDataSize is the largest value of SetSharedDeviceData (B33).
	MaxSharedDataSize = 8192
	// MaxScopeSize is the largest encrypted scope of BeginTransaction (B29).
	MaxScopeSize = 1024
	// MaxPreauthSize is the largest frame before registration, container
	// included, and the most Proxy data that is held back until then (B4).
	MaxPreauthSize = 16_384
	// MaxCloseReasonSize is the longest reason in a WebSocket Close frame (B45).
	MaxCloseReasonSize = 123
)

// ProtocolVersion is the only version there is. A ServerHello with a higher one
// locks an app out (B2).
const ProtocolVersion = 0
