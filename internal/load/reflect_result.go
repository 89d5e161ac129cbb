package load

import "fmt"

// ReflectResult is what Reflect has measured. Package load's comment tells about the fields.
type ReflectResult struct {
	Setup
	Reflect
	ThinkSeconds  float64 `json:"think_s"`
	WarmUpSeconds float64 `json:"warm_up_s"`

	Acked              uint64  `json:"acked"`
	Delivered          uint64  `json:"delivered"`
	Overdue            uint64  `json:"overdue"`
	AckedPerSecond     float64 `json:"acked_per_s"`
	DeliveredPerSecond float64 `json:"delivered_per_s"`

	Ack           Latency  `json:"ack_latency"`
	Delivery      Latency  `json:"delivery_latency"`
	TimerLateness *Latency `json:"timer_lateness,omitempty"`

	LoadCPUPer   *float64 `json:"load_cpu_s_per_100000,omitempty"`
	ServerCPUPer *float64 `json:"server_cpu_s_per_100000,omitempty"`
	ServerRSS    *int64   `json:"server_rss_bytes,omitempty"`
}

// result puts together what all have seen.
func (r *reflecting) result() *ReflectResult {
	var sum tally
	for i := range r.tallies {
		t := &r.tallies[i]
		sum.acked += t.acked
		sum.delivered += t.delivered
		sum.overdue += t.overdue
		sum.ack.Merge(&t.ack)
		sum.delivery.Merge(&t.delivery)
		sum.late.Merge(&t.late)
	}
	result := &ReflectResult{
		Setup:         r.fleet.server.setup("reflect", r.Duration, r.used),
		Reflect:       r.Reflect,
		ThinkSeconds:  r.Think.Seconds(),
		WarmUpSeconds: r.WarmUp.Seconds(),

		Acked:              sum.acked,
		Delivered:          sum.delivered,
		Overdue:            sum.overdue,
		AckedPerSecond:     perSecond(sum.acked, r.Duration),
		DeliveredPerSecond: perSecond(sum.delivered, r.Duration),

		Ack:      newLatency(&sum.ack),
		Delivery: newLatency(&sum.delivery),

		LoadCPUPer:   per(r.used.load, float64(sum.acked)/100_000),
		ServerCPUPer: per(r.used.server, float64(sum.acked)/100_000),
		ServerRSS:    r.server.rss(),
	}
	if r.Think > 0 {
		late := newLatency(&sum.late)
		result.TimerLateness = &late
	}
	return result
}

// Text returns the result for a person.
func (r *ReflectResult) Text() string {
	var t text
	think := ""
	if r.Think > 0 {
		think = fmt.Sprintf(", a message every %v on average", r.Think)
	}
	away := ""
	if r.Away > 0 {
		away = fmt.Sprintf(" and %d that are away", r.Away)
	}
	t.title("reflect", "%s groups of %d devices%s, window %d, %s bytes%s, %v, seed %d", grouped(r.Groups), r.Devices, away, r.Window,
		grouped(r.Size), think, r.Reflect.Duration, r.Seed)
	t.line("server", "%s", r.where())
	t.line("acked", "%s messages per second", grouped(int64(r.AckedPerSecond)))
	t.latency("ack latency", r.Ack)
	if r.Devices > 1 {
		t.line("delivered", "%s messages per second", grouped(int64(r.DeliveredPerSecond)))
		t.latency("delivery latency", r.Delivery)
	}
	if r.Overdue > 0 {
		t.line("not sent", "%s messages were due and had no room in the window up to the end: the server does not keep up", grouped(r.Overdue))
	}
	if r.TimerLateness != nil {
		t.latency("timer lateness", *r.TimerLateness)
	}
	t.cpu(r.ServerCPUPer, r.LoadCPUPer, "messages")
	if r.ServerRSS != nil {
		t.line("server memory", "%.1f MiB", float64(*r.ServerRSS)/(1<<20))
	}
	t.picture("ack latency", r.Ack)
	t.picture("delivery latency", r.Delivery)
	return t.String()
}
