package main

import (
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"openmediator/access"
	"openmediator/mediator"
	"openmediator/privacy"
)

// set reads the text of a setting and puts the value where it goes. The error names the text and what would do.
func (r *setting) set(s *settings, text string) error {
	var err error
	switch field := r.field(s).(type) {
	case *[]address:
		*field, err = parseAddresses(text)
	case *[]string:
		*field = splitList(text)
	case *mediator.Peers:
		*field, err = mediator.ParsePeers(splitList(text))
	case *domains:
		*field, err = parseDomains(text)
	case *fs.FileMode:
		*field, err = parseMode(text)
	case *socksProxy:
		*field, err = parseSOCKS(text)
	case *adminAddress:
		*field, err = parseAdminAddress(text)
	case *netip.Addr:
		*field, err = parseLocal(text)
	case *string:
		*field = text
	case *bool:
		*field, err = parseSwitch(text)
	case *zerolog.Level:
		*field, err = parseLevel(text)
	case *access.Mode:
		*field, err = parseAccess(text)
	case *privacy.Level:
		*field, err = parsePrivacy(text)
	case *time.Time:
		*field, err = parseTime(text)
	default:
		err = r.setNumber(field, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.flagName(), err)
	}
	return nil
}

// setNumber reads one of the kinds that have a range.
func (r *setting) setNumber(field any, text string) error {
	n, err := r.kind.number(text)
	if err != nil {
		return err
	}
	if err := r.checkRange(n, text); err != nil {
		return err
	}
	switch field := field.(type) {
	case *int:
		*field = int(n)
	case *int64:
		*field = n
	case *time.Duration:
		*field = time.Duration(n)
	default:
		panic(fmt.Sprintf("setting %s: field is a %T", r.name, field))
	}
	return nil
}

func (r *setting) checkRange(n int64, text string) error {
	if n == 0 && r.zero != "" {
		return nil
	}
	low, _ := r.kind.number(r.low)
	high, _ := r.kind.number(r.high)
	if n < low || n > high {
		return fmt.Errorf("%s is not within %s", text, r.limits())
	}
	return nil
}

// limits names the values that will do, or is empty.
func (r *setting) limits() string {
	switch {
	case r.kind == kindLevel:
		return "debug, info, warn or error"
	case r.kind == kindPrivacy:
		return "strict, operator or full"
	case r.kind == kindAccess:
		return "open, known or invite"
	case r.kind == kindHeader:
		return mediator.XForwardedFor + " or " + mediator.Forwarded
	case r.low == "":
		return ""
	case r.zero != "":
		return fmt.Sprintf("%s to %s; 0: %s", r.low, r.high, r.zero)
	case r.unit != "":
		return fmt.Sprintf("%s to %s %s", r.low, r.high, r.unit)
	}
	return fmt.Sprintf("%s to %s", r.low, r.high)
}

// number reads a kind that has a range: as it is, in bytes, or in nanoseconds.
func (k kind) number(text string) (int64, error) {
	switch k {
	case kindBytes:
		return parseBytes(text)
	case kindDuration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time such as 90s, 10m or 24h", text)
		}
		return int64(d), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number such as 1000", text)
	}
	return n, nil
}

var byteUnits = []struct {
	name string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

func parseBytes(text string) (int64, error) {
	digits, size := text, int64(1)
	for _, unit := range byteUnits {
		if before, ok := strings.CutSuffix(text, unit.name); ok {
			digits, size = before, unit.size
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/size {
		return 0, fmt.Errorf("%q is not a number of bytes such as 65536, 64KiB, 256MiB or 1GiB", text)
	}
	return n * size, nil
}

// splitList returns the values of a list.
func splitList(text string) (values []string) {
	if text == "" {
		return nil
	}
	for value := range strings.SplitSeq(text, ",") {
		values = append(values, strings.TrimSpace(value))
	}
	return values
}

func parseSwitch(text string) (bool, error) {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", text)
	}
	return on, nil
}

func parseLevel(text string) (zerolog.Level, error) {
	switch text {
	case "debug", "info", "warn", "error":
		return zerolog.ParseLevel(text)
	}
	return 0, fmt.Errorf("%q is not one of debug, info, warn, error", text)
}

func parsePrivacy(text string) (privacy.Level, error) {
	level, err := privacy.ParseLevel(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not one of strict, operator, full", text)
	}
	return level, nil
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is not a time such as 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00", text)
	}
	return t, nil
}

func parseAccess(text string) (access.Mode, error) {
	mode, err := access.ParseMode(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not one of open, known, invite", text)
	}
	return mode, nil
}
