package main

import (
	"openmediator/bench/compare/redis"
)

// redisAlways is what the goals compare with.
const redisAlways = "redis-always"

func redisReflects(w reflectWork) []contestant {
	contestants := []contestant{
		{
			id: redisAlways, name: "Redis, a stream per device, appendfsync always",
			guarantee: "synced before the ack; delivered until acked, in order; each message acked by itself",
			run:       redisReflect(w, redis.Always, redis.StreamPerDevice),
		},
		{
			id: "redis-cursor", name: "Redis, a stream per group, cumulative acks, appendfsync always",
			guarantee: "synced before the ack; delivered until acked, in order; an ack counts for all before it",
			run:       redisReflect(w, redis.Always, redis.Cursor),
		},
		{
			id: "redis-default", name: "Redis, a stream per device, as it comes",
			guarantee: "a crash loses what came since the last snapshot, a minute or more; delivered until acked, in order",
			run:       redisReflect(w, redis.Default, redis.StreamPerDevice),
		},
	}
	for i := range contestants {
		contestants[i].missing = func() error { _, err := redis.Program(); return err }
		contestants[i].version = func() (string, string) { return "Redis", debianVersion("redis-server") }
	}
	return contestants
}

func redisReflect(w reflectWork, d redis.Durability, m redis.Mapping) func(run) (figures, error) {
	return func(r run) (figures, error) {
		server, address, err := redis.Start(r, r.dir, d)
		if err != nil {
			return nil, err
		}
		work := w.workload(r.options)
		return reflectThrough(r, server, work, &redis.Broker{Address: address, Mapping: m, Size: work.Size, SingleAcks: work.SingleAcks})
	}
}
