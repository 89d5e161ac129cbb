package metrics

import (
	"io"
	"log"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"openmediator/mediator"
)

// Server is what the metrics are of. A mediator.Server is one.
type Server interface {
	Stats() mediator.Stats
	Condition() mediator.Condition
}

// StoreStats are what a store has done by itself.
type StoreStats struct {
	Compactions, CompactionFailures, Recoveries int64
}

// Build names a program.
type Build struct{ Version, Go string }

// Options are where the metrics come from. What is nil is left out.
type Options struct {
	Server  Server
	Census  *Census
	Store   func() StoreStats
	Expires func() time.Time // when the TLS certificate does; zero if there is none
	Build   Build
}

// maxScrapes is how many scrapes are answered at once. More are refused with 503.
const maxScrapes = 4

// Handler answers with all metrics.
func Handler(options Options) http.Handler {
	registry := NewRegistry(options)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		ErrorLog:            log.New(io.Discard, "", 0),
		ErrorHandling:       promhttp.ContinueOnError,
	})
}

// NewRegistry returns a registry of its own with all metrics, those of the Go runtime and of the process included.
func NewRegistry(options Options) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(options), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// collector makes the metrics of the table.
type collector struct {
	Options
	began       time.Time
	ofTable     []*prometheus.Desc
	distributed []*prometheus.Desc
}

func newCollector(options Options) *collector {
	c := &collector{Options: options, began: time.Now()}
	for _, m := range table {
		c.ofTable = append(c.ofTable, prometheus.NewDesc(m.name, m.help, m.labels, nil))
	}
	for _, d := range distributions {
		c.distributed = append(c.distributed, prometheus.NewDesc(d.name, d.help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range c.ofTable {
		to <- desc
	}
	for _, desc := range c.distributed {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.look()
	for i, m := range table {
		m.values(s, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(c.ofTable[i], m.kind, value, labels...)
		})
	}
	for i, d := range distributions {
		h := d.value(s)
		to <- prometheus.MustNewConstHistogram(c.distributed[i], h.Count, h.Sum, h.Buckets)
	}
}

// look gathers what one scrape is made of.
func (c *collector) look() *scrape {
	now := time.Now()
	s := &scrape{Stats: c.Server.Stats(), condition: c.Server.Condition(), now: now, up: now.Sub(c.began), build: c.Build}
	if c.Census != nil {
		s.totals, s.counted = c.Census.Totals()
	}
	if c.Store != nil {
		s.store = c.Store()
	}
	if c.Expires != nil {
		s.expiry = c.Expires()
	}
	return s
}
