package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"openmediator/d2m"
	"openmediator/mediator"
)

// scrape is what one answer is made of.
type scrape struct {
	mediator.Stats
	condition mediator.Condition
	totals    Totals
	counted   bool // totals are known
	store     StoreStats
	expiry    time.Time // of the certificate; zero if there is none
	now       time.Time
	up        time.Duration
	build     Build
}

// metric is a row of the table: a metric, and where its values come from. A value is emitted with the values of its labels.
type metric struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	values func(s *scrape, emit func(value float64, labels ...string))
}

// single makes a row of a metric without labels.
func single(name string, kind prometheus.ValueType, help string, value func(s *scrape) float64) metric {
	return metric{name: name, help: help, kind: kind, values: func(s *scrape, emit func(float64, ...string)) { emit(value(s)) }}
}

func counter(name, help string, value func(s *scrape) int64) metric {
	return single(name, prometheus.CounterValue, help, func(s *scrape) float64 { return float64(value(s)) })
}

func gauge(name, help string, value func(s *scrape) int64) metric {
	return single(name, prometheus.GaugeValue, help, func(s *scrape) float64 { return float64(value(s)) })
}

// ofCensus makes a row of a metric that is known when the store has been looked through.
func ofCensus(name, help string, value func(t *Totals, now time.Time) float64) metric {
	return metric{name: name, help: help, kind: prometheus.GaugeValue, values: func(s *scrape, emit func(float64, ...string)) {
		if s.counted {
			emit(value(&s.totals, s.now))
		}
	}}
}

func truth(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// table has all metrics of the server but the histograms, in the order of the documentation.
var table = []metric{
	{"mediator_build_info", "1; which build this is", prometheus.GaugeValue, []string{"version", "goversion"},
		func(s *scrape, emit func(float64, ...string)) { emit(1, s.build.Version, s.build.Go) }},
	single("mediator_uptime_seconds", prometheus.GaugeValue, "time since the server was started",
		func(s *scrape) float64 { return s.up.Seconds() }),
	gauge("mediator_ready", "1 if /readyz says that devices should be sent here", func(s *scrape) int64 { return truth(s.condition.Ready()) }),
	gauge("mediator_draining", "1 while the server is stopping", func(s *scrape) int64 { return truth(s.condition.Stopping) }),

	{"mediator_connections", "connections, by how far they have come: request (not upgraded yet), unauthenticated (not registered yet), " +
		"registered (closing ones included)", prometheus.GaugeValue, []string{"state"},
		func(s *scrape, emit func(float64, ...string)) {
			emit(float64(s.Requests), "request")
			emit(float64(s.Unauthenticated), "unauthenticated")
			emit(float64(s.Registered), "registered")
		}},
	counter("mediator_upgrades_total", "connections that were upgraded to WebSocket", func(s *scrape) int64 { return s.Upgrades }),
	{"mediator_refused_total", "connections, requests and logins that a limit has refused, by limit", prometheus.CounterValue, []string{"limit"},
		func(s *scrape, emit func(float64, ...string)) {
			for limit, n := range s.Refused {
				emit(float64(n), limit)
			}
		}},
	{"mediator_logins_total", "logins, by result: accepted (the device has registered), wrong_response (the group's key is not known there); " +
		"others end with a close code", prometheus.CounterValue, []string{"result"},
		func(s *scrape, emit func(float64, ...string)) {
			emit(float64(s.Logins), "accepted")
			emit(float64(s.WrongResponses), "wrong_response")
		}},
	{"mediator_closes_total", "Close frames that the server has sent, by code", prometheus.CounterValue, []string{"code"},
		func(s *scrape, emit func(float64, ...string)) {
			for code, n := range s.Closes {
				emit(float64(n), codeLabel(code))
			}
		}},
	gauge("mediator_addresses", "addresses of which something is remembered for the limits", func(s *scrape) int64 { return int64(s.Addresses) }),

	counter("mediator_reflected_messages_total", "messages taken from devices, ephemerals not counted", func(s *scrape) int64 { return s.Reflected }),
	counter("mediator_ephemeral_messages_total", "ephemeral messages taken from devices", func(s *scrape) int64 { return s.Ephemerals }),
	counter("mediator_delivered_messages_total", "messages given to devices, once for each of them", func(s *scrape) int64 { return s.Delivered }),
	counter("mediator_acknowledged_messages_total", "messages that a device has acknowledged", func(s *scrape) int64 { return s.Acked }),
	counter("mediator_transactions_begun_total", "transactions that have got the lock", func(s *scrape) int64 { return s.Begun }),
	{"mediator_transactions_ended_total", "transactions that have ended, by outcome: committed, aborted", prometheus.CounterValue, []string{"outcome"},
		func(s *scrape, emit func(float64, ...string)) {
			emit(float64(s.Committed), "committed")
			emit(float64(s.Aborted), "aborted")
		}},
	gauge("mediator_staged_bytes", "bytes of messages in transactions, in memory", func(s *scrape) int64 { return s.Staged }),
	gauge("mediator_cache_bytes", "bytes of stored messages in memory", func(s *scrape) int64 { return s.Tail }),
	gauge("mediator_groups_in_use", "device groups that are connected to, or have something left to be stored", func(s *scrape) int64 { return int64(s.GroupsInUse) }),

	ofCensus("mediator_groups", "device groups that have a slot", func(t *Totals, _ time.Time) float64 { return float64(t.Groups) }),
	ofCensus("mediator_device_slots", "device slots", func(t *Totals, _ time.Time) float64 { return float64(t.Slots) }),
	ofCensus("mediator_devices_connected", "device slots whose device is connected", func(t *Totals, _ time.Time) float64 { return float64(t.Connected) }),
	ofCensus("mediator_waiting_messages", "messages that wait for a device", func(t *Totals, _ time.Time) float64 { return float64(t.Messages) }),
	ofCensus("mediator_waiting_bytes", "bytes of the envelopes of messages that wait for a device", func(t *Totals, _ time.Time) float64 { return float64(t.Bytes) }),
	ofCensus("mediator_oldest_message_seconds", "how long the oldest message has waited; 0 if none waits", func(t *Totals, now time.Time) float64 {
		if t.Oldest.IsZero() {
			return 0
		}
		return max(0, now.Sub(t.Oldest).Seconds())
	}),
	ofCensus("mediator_census_age_seconds", "how old the figures are that take a look through the whole store: mediator_groups and those behind it",
		func(t *Totals, now time.Time) float64 { return now.Sub(t.At).Seconds() }),

	gauge("mediator_store_bytes", "bytes that the store takes", func(s *scrape) int64 { return s.StoreUsed }),
	gauge("mediator_store_limit_bytes", "bytes of the store beyond which no message is taken; 0 if not known", func(s *scrape) int64 { return s.StoreLimit }),
	gauge("mediator_store_failing", "1 if the store's last write failed", func(s *scrape) int64 { return truth(s.StoreFailing) }),
	gauge("mediator_store_full", "1 if the store has reached its limit, and messages are refused", func(s *scrape) int64 { return truth(s.StoreFull) }),
	counter("mediator_store_failures_total", "times that the store did not do what it was asked", func(s *scrape) int64 { return s.StoreFailures }),
	counter("mediator_store_recoveries_total", "times that the store was made sound again after a failure", func(s *scrape) int64 { return s.store.Recoveries }),
	counter("mediator_store_compactions_total", "times that the store's file was replaced by one without what was deleted", func(s *scrape) int64 { return s.store.Compactions }),
	counter("mediator_store_compaction_failures_total", "times that this was given up", func(s *scrape) int64 { return s.store.CompactionFailures }),

	gauge("mediator_chat_sessions", "sessions with chat servers, those included that are connecting", func(s *scrape) int64 { return s.Chat.Open }),
	counter("mediator_chat_sessions_total", "sessions with chat servers that have begun to connect", func(s *scrape) int64 { return s.Chat.Began }),
	{"mediator_chat_sessions_ended_total", "sessions with chat servers that have ended, by reason: device (it has left), chat_server (closed or lost), " +
		"unreachable, fault (the chat server takes nothing, or sends what it may not)", prometheus.CounterValue, []string{"reason"},
		func(s *scrape, emit func(float64, ...string)) {
			emit(float64(s.Chat.EndedByDevice), "device")
			emit(float64(s.Chat.EndedByChatServer), "chat_server")
			emit(float64(s.Chat.EndedUnreachable), "unreachable")
			emit(float64(s.Chat.EndedByFault), "fault")
		}},
	counter("mediator_chat_units_total", "units of chat servers handed to devices", func(s *scrape) int64 { return s.Chat.UnitsDown }),
	{"mediator_chat_bytes_total", "bytes passed on between devices and chat servers, by direction: up (from devices), down", prometheus.CounterValue, []string{"direction"},
		func(s *scrape, emit func(float64, ...string)) {
			emit(float64(s.Chat.BytesUp), "up")
			emit(float64(s.Chat.BytesDown), "down")
		}},

	{"mediator_certificate_expiry_timestamp_seconds", "when the TLS certificate expires, in Unix time; not there without one", prometheus.GaugeValue, nil,
		func(s *scrape, emit func(float64, ...string)) {
			if !s.expiry.IsZero() {
				emit(float64(s.expiry.Unix()))
			}
		}},
}

// distribution is a histogram.
type distribution struct {
	name, help string
	value      func(s *scrape) mediator.Histogram
}

var distributions = []distribution{
	{"mediator_commit_duration_seconds", "how long the store took for a commit, its sync included",
		func(s *scrape) mediator.Histogram { return s.CommitSeconds }},
	{"mediator_commit_groups", "how many device groups shared a commit", func(s *scrape) mediator.Histogram { return s.CommitGroups }},
}

// codeLabel names a close code.
func codeLabel(code d2m.CloseCode) string {
	if code == 0 {
		return "other"
	}
	return strconv.Itoa(int(code))
}
