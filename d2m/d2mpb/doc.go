// Package d2mpb is generated from d2m.proto: the protobuf messages between a
// device and the mediator. Only package d2m uses it; all others use d2m's own
// structs, which have checked lengths and enum values.
package d2mpb

//go:generate go -C ../../internal/genproto run . d2m/d2mpb/d2m.proto
