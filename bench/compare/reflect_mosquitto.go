package main

import (
	"openmediator/bench/compare/mosquitto"
)

// mosquittoDurable is what the goals compare with.
const mosquittoDurable = "mosquitto-durable"

func mosquittoReflects(w reflectWork) []contestant {
	contestants := []contestant{
		{
			id: mosquittoDurable, name: "Mosquitto, QoS 1, persistent sessions, autosave on each change",
			guarantee: "acks from memory, its file is written soon after and never synced; delivered until acked, in order",
			run:       mosquittoReflect(w, mosquitto.Changes),
		},
		{
			id: "mosquitto-default", name: "Mosquitto, QoS 1, persistent sessions, as it comes",
			guarantee: "a crash loses up to 30 minutes; delivered until acked, in order",
			run:       mosquittoReflect(w, mosquitto.Default),
		},
	}
	for i := range contestants {
		contestants[i].missing = func() error { _, err := mosquitto.Program(); return err }
		contestants[i].version = func() (string, string) { return "Mosquitto", debianVersion("mosquitto") }
	}
	return contestants
}

func mosquittoReflect(w reflectWork, d mosquitto.Durability) func(run) (figures, error) {
	return func(r run) (figures, error) {
		server, address, err := mosquitto.Start(r, r.dir, d)
		if err != nil {
			return nil, err
		}
		work := w.workload(r.options)
		return reflectThrough(r, server, work, &mosquitto.Broker{Address: address, Size: work.Size, SingleAcks: work.SingleAcks})
	}
}
