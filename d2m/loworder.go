package d2m

// Valid tells whether the id is not a low-order point. With one of those X25519
// yields zeroes whatever the secret is, so anybody could answer its challenge (B1).
//
// It compares with a list, because this is asked before a peer has proved
// anything, and a scalar multiplication would cost a thousand times as much.
func (g GroupID) Valid() bool {
	g[31] &= 0x7f // X25519 ignores the highest bit
	for _, point := range lowOrderPoints {
		if g == point {
			return false
		}
	}
	return true
}

// lowOrderPoints are the u-coordinates, little-endian, of all points whose order
// divides eight, on the curve and on its twist: 0, 1, −1 and two of order eight;
// and p and p+1, the other encodings of 0 and 1 below 2²⁵⁵.
var lowOrderPoints = [7]GroupID{
	{},
	{1},
	belowPowerOf255(20), // −1: p is 2²⁵⁵ − 19
	belowPowerOf255(19),
	belowPowerOf255(18),
	{
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
	},
	{
		0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
	},
}

// belowPowerOf255 returns 2²⁵⁵ − n, for n from 1 to 256.
func belowPowerOf255(n int) (point GroupID) {
	for i := range point {
		point[i] = 0xff
	}
	point[0] = byte(256 - n)
	point[31] = 0x7f
	return point
}
