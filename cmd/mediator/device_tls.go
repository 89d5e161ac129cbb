package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"openmediator/certificates"
)

// setCA notes whom the device trusts from now on.
func (c *deviceContent) setCA(s *settings) (err error) {
	if s.ca == "" {
		return nil
	}
	if _, err := readRoots("tls-ca", s.ca); err != nil {
		return err
	}
	c.CA, err = filepath.Abs(s.ca)
	return err
}

// deviceTLS is how a device does TLS. The file is that of the authorities, unless another one is set.
func (s *settings) deviceTLS(file string) (*tls.Config, error) {
	if s.ca != "" {
		file = s.ca
	}
	roots, err := readRoots("tls-ca", file)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: roots}
	if s.pin == "" {
		return config, nil
	}
	var pins []certificates.Pin
	for text := range strings.SplitSeq(s.pin, ",") {
		pin := certificates.Pin(strings.TrimSpace(text))
		if !pin.Valid() {
			return nil, usage("tls-pin: %q is not 44 characters of base64, as mediator pin prints them", pin)
		}
		pins = append(pins, pin)
	}
	config.VerifyConnection = func(c tls.ConnectionState) error {
		if len(c.PeerCertificates) == 0 {
			return errors.New("server key: there is none")
		}
		if pin := certificates.PinOf(c.PeerCertificates[0]); !slices.Contains(pins, pin) {
			return fmt.Errorf("server key: has the pin %s, which is not the one that is expected", pin)
		}
		return nil
	}
	return config, nil
}
