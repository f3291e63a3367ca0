package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"lumen/store"
)

// collector exports the counts of the limiter and of the store, which does not import Prometheus.
type collector struct {
	stats   func() Stats
	limiter *Limiter
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	poolConnections = desc("lumen_pool_connections", "Connections to the database.", "pool", "state")
	poolMax         = desc("lumen_pool_max_connections", "The maximum number of connections to the database.", "pool")
	poolWaiting     = desc("lumen_pool_waiting",
		"Statements that are waiting for a connection or for their merchant's turn.", "pool")
	poolWaits  = desc("lumen_pool_waits_total", "Statements that had to wait.", "pool")
	poolWaited = desc("lumen_pool_wait_seconds_total", "Total time that statements waited, in seconds.", "pool")
	poolClosed = desc("lumen_pool_closed_connections_total",
		"Connections closed for their age or because enough others were idle.", "pool")

	credentialRequests = desc("lumen_credential_cache_requests_total",
		"Credentials presented by clients, by whether the cache held them.", "result")
	credentialEntries = desc("lumen_credential_cache_entries", "Credentials in the cache.")

	refusals = desc("lumen_refusals_total",
		"Refusals by limit: requests over the rate of a customer, a key or a merchant, statements over a merchant's "+
			"concurrency, and statements, lookups and unread requests during an overload.", "limit")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		poolConnections, poolMax, poolWaiting, poolWaits, poolWaited, poolClosed,
		credentialRequests, credentialEntries, refusals,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	now := c.stats()
	for pool, stats := range map[string]store.PoolStats{"customers": now.Customers, "credentials": now.Credentials.Pool} {
		show(poolConnections, prometheus.GaugeValue, float64(stats.InUse), pool, "used")
		show(poolConnections, prometheus.GaugeValue, float64(stats.Idle), pool, "idle")
		show(poolMax, prometheus.GaugeValue, float64(stats.MaxOpenConnections), pool)
		show(poolWaiting, prometheus.GaugeValue, float64(stats.Gate.Waiting), pool)
		show(poolWaits, prometheus.CounterValue, float64(stats.Gate.Waits), pool)
		show(poolWaited, prometheus.CounterValue, stats.Gate.Waited.Seconds(), pool)
		closed := stats.MaxIdleClosed + stats.MaxIdleTimeClosed + stats.MaxLifetimeClosed
		show(poolClosed, prometheus.CounterValue, float64(closed), pool)
	}
	show(credentialRequests, prometheus.CounterValue, float64(now.Credentials.Hits), "hit")
	show(credentialRequests, prometheus.CounterValue, float64(now.Credentials.Misses), "miss")
	show(credentialEntries, prometheus.GaugeValue, float64(now.Credentials.Entries))
	show(refusals, prometheus.CounterValue, float64(now.Customers.Gate.TenantLimits), "concurrency")
	credentials := now.Credentials.Pool.Gate
	overloads := now.Customers.Gate.Overloads + credentials.Overloads + credentials.TenantLimits
	show(refusals, prometheus.CounterValue, float64(overloads), "overload")
	for limit, n := range c.limiter.Refused() {
		show(refusals, prometheus.CounterValue, float64(n), limit)
	}
}
