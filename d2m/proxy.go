package d2m

// Proxy carries bytes between a device and the chat server, in both directions.
type Proxy struct {
	Data []byte // at most 65,532 bytes
}

// Type returns [TypeProxy].
func (Proxy) Type() Type { return TypeProxy }

// Append implements [Message].
func (m Proxy) Append(dst []byte) []byte {
	return append(appendContainer(dst, TypeProxy), m.Data...)
}

// ParseProxy takes a payload of at most 65,532 bytes, which the result aliases.
func ParseProxy(payload []byte) (Proxy, error) {
	if err := checkLimit("proxy: data", payload, MaxProxyDataSize); err != nil {
		return Proxy{}, err
	}
	return Proxy{Data: payload}, nil
}
