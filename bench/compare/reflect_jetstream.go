package main

import (
	"openmediator/bench/compare/jetstream"
)

// jetstreamAlways is what the goals compare with.
const jetstreamAlways = "jetstream-always"

func jetstreamReflects(w reflectWork) []contestant {
	contestants := []contestant{
		{
			id: jetstreamAlways, name: "JetStream, sync_interval always",
			guarantee: "synced before the ack; delivered until acked, in order; each message acked by itself",
			run:       jetstreamReflect(w, "jetstream-always"),
		},
		{
			id: "jetstream-default", name: "JetStream, as it comes",
			guarantee: "a power cut loses up to two minutes; delivered until acked, in order",
			run:       jetstreamReflect(w, "jetstream-default"),
		},
	}
	for i := range contestants {
		contestants[i].version = func() (string, string) { return "NATS", jetstream.Version }
	}
	return contestants
}

func jetstreamReflect(w reflectWork, peer string) func(run) (figures, error) {
	return func(r run) (figures, error) {
		server, address, err := startPeer(r, peer, r.dir)
		if err != nil {
			return nil, err
		}
		work := w.workload(r.options)
		return reflectThrough(r, server, work, &jetstream.Broker{Address: address, Size: work.Size, SingleAcks: work.SingleAcks})
	}
}
