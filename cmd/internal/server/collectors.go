package server

import (
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"

	"lumen/store"
)

// storeCollector shows what the store counts, which knows no Prometheus.
type storeCollector struct{ stats func() store.Stats }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	poolConnections = desc("lumen_pool_connections", "Connections to the database.", "pool", "state")
	poolMax         = desc("lumen_pool_max_connections", "How many connections to the database there may be.", "pool")
	poolWaits       = desc("lumen_pool_waits_total", "Statements that had to wait for a connection.", "pool")
	poolWaited      = desc("lumen_pool_wait_seconds_total", "How long statements waited for a connection.", "pool")
	poolClosed      = desc("lumen_pool_closed_connections_total", "Connections that were closed because there were enough idle ones, or for their age.", "pool")

	credentialRequests = desc("lumen_credential_cache_requests_total", "Credentials that clients presented, by whether they were kept from a moment before.", "result")
	credentialEntries  = desc("lumen_credential_cache_entries", "Credentials that are kept.")
)

// Describe implements prometheus.Collector.
func (c storeCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolConnections, poolMax, poolWaits, poolWaited, poolClosed, credentialRequests, credentialEntries} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c storeCollector) Collect(to chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	now := c.stats()
	for pool, stats := range map[string]sql.DBStats{"customers": now.Customers, "credentials": now.Credentials} {
		show(poolConnections, prometheus.GaugeValue, float64(stats.InUse), pool, "used")
		show(poolConnections, prometheus.GaugeValue, float64(stats.Idle), pool, "idle")
		show(poolMax, prometheus.GaugeValue, float64(stats.MaxOpenConnections), pool)
		show(poolWaits, prometheus.CounterValue, float64(stats.WaitCount), pool)
		show(poolWaited, prometheus.CounterValue, stats.WaitDuration.Seconds(), pool)
		show(poolClosed, prometheus.CounterValue, float64(stats.MaxIdleClosed+stats.MaxIdleTimeClosed+stats.MaxLifetimeClosed), pool)
	}
	show(credentialRequests, prometheus.CounterValue, float64(now.CredentialHits), "hit")
	show(credentialRequests, prometheus.CounterValue, float64(now.CredentialMisses), "miss")
	show(credentialEntries, prometheus.GaugeValue, float64(now.CredentialsKept))
}

// Limits are the names of the limits that refuse requests: the rates of a key and of a merchant, how much a merchant may run at
// once, and how many may wait for the database.
var Limits = []string{"key", "merchant", "concurrency", "overload"}

// refusals show what limits have refused.
type refusals struct{ sources []func() map[string]uint64 }

var refusalsTotal = desc("lumen_refusals_total", "Requests that a limit refused.", "limit")

// Describe implements prometheus.Collector.
func (r *refusals) Describe(to chan<- *prometheus.Desc) { to <- refusalsTotal }

// Collect implements prometheus.Collector.
func (r *refusals) Collect(to chan<- prometheus.Metric) {
	sum := make(map[string]uint64)
	for _, read := range r.sources {
		for limit, n := range read() {
			sum[limit] += n
		}
	}
	for _, limit := range Limits {
		to <- prometheus.MustNewConstMetric(refusalsTotal, prometheus.CounterValue, float64(sum[limit]), limit)
	}
}
