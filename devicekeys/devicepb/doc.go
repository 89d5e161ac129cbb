// Package devicepb is generated from device.proto: what devices of one group
// encrypt for each other. Only package devicekeys uses it.
package devicepb

//go:generate go -C ../../internal/genproto run . devicekeys/devicepb/device.proto
