package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report holds all results. Durations are in nanoseconds, memory in octets.
type report struct {
	Conditions conditions      `json:"conditions"`
	Series     []*series       `json:"series"`
	Start      []time.Duration `json:"start"` // from exec to the first answer
	Memory     struct {
		Idle uint64 `json:"idle"`
		Load uint64 `json:"load"`
	} `json:"memory"`
	List     lists   `json:"list"`
	LongList lists   `json:"longList"` // of the largest size
	Sizes    []curve `json:"sizes"`
	Crowds   []curve `json:"crowds"`
	Soak     *soaked `json:"soak,omitempty"`
}

// conditions are the circumstances of the measurements.
type conditions struct {
	Date        string `json:"date"`
	Machine     string `json:"machine"`
	Postgres    string `json:"postgres"`
	Customers   int    `json:"customers"`
	Merchants   int    `json:"merchants"`
	Clients     int    `json:"clients"`
	Connections int    `json:"connections"` // of each server to Postgres
	Rounds      int    `json:"rounds"`
	Time        string `json:"time"`
	Peer        string `json:"peer,omitempty"`
}

// comparison is a row of the table of ratios: the throughput, or the time, of one series divided by
// that of another.
type comparison struct {
	What, Against string
	of, to        string // series
	must, goal    float64
	time          bool // a ratio of times, where less is better
}

var comparisons = []comparison{
	{"`GET /api/customers/{id}`", "bare handler", "get/rest", "get/bare", 0.70, 0.85, false},
	{"the same with `LUMEN_DATABASE_POOLER=transaction`", "bare handler", "get/rest, transaction pooling", "get/bare", 0, 0, false},
	{"GraphQL `customer(id)`, 6 fields", "bare handler", "get/graphql", "get/bare", 0.50, 0.65, false},
	{"the same", "peer", "get/graphql", "get/peer", 2.5, 3, false},
	{"GraphQL page of 50, 15 fields", "bare handler", "page/graphql", "page/bare", 0.55, 0.70, false},
	{"the same", "peer", "page/graphql", "page/peer", 2, 3, false},
	{"create", "bare handler", "create/rest", "create/bare", 0.75, 0.90, false},
	{"update", "bare handler", "update/rest", "update/bare", 0.75, 0.90, false},
	{"create, `fsync=off`", "bare handler", "create, fsync off/rest", "create, fsync off/bare", 0.55, 0.70, false},
	{"update, `fsync=off`", "bare handler", "update, fsync off/rest", "update, fsync off/bare", 0.55, 0.70, false},
	{"30 aliased `customer(id)`, one client, p50", "one such", "30 aliases/graphql", "one alias/graphql", 3, 2, true},
}

// median returns the median of measurements of one thing.
func median[T cmp.Ordered](all []T) T {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

func (r *report) find(name string) *series {
	i := slices.IndexFunc(r.Series, func(s *series) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return r.Series[i]
}

// compare returns the ratios of two series, one for each round, smallest first, or nil when one of
// the series was not measured.
func (r *report) compare(c comparison) []float64 {
	of, to := r.find(c.of), r.find(c.to)
	if of == nil || to == nil {
		return nil
	}
	var all []float64
	for i := range of.Samples {
		ratio := of.Samples[i].PerSecond / to.Samples[i].PerSecond
		if c.time {
			ratio = float64(of.Samples[i].P50) / float64(to.Samples[i].P50)
		}
		all = append(all, ratio)
	}
	slices.Sort(all)
	return all
}

// write prints the report and writes it to the folder, as Markdown and JSON, with the curves as an
// SVG.
func (r *report) write(out io.Writer, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text := r.markdown()
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "report.md"), []byte(text), 0o644); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "report.json"), append(encoded, '\n'), 0o644); err != nil {
		return err
	}
	return errors.Join(r.plot(filepath.Join(folder, "scaling.svg")), r.Soak.plot(filepath.Join(folder, "soak.svg")))
}

func (r *report) markdown() string {
	var md strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&md, format+"\n", args...) }
	c := r.Conditions
	line("Measured on %s: %s, %s. %d customers over %d merchants, %d clients, %d connections of each server, %d rounds of %s for each, in turns.",
		c.Date, c.Machine, c.Postgres, c.Customers, c.Merchants, c.Clients, c.Connections, c.Rounds, c.Time)
	if c.Peer != "" {
		line("The peer: %s.", c.Peer)
	}
	r.ratiosTo(line)
	r.seriesTo(line)
	r.listsTo(line)
	if len(r.Start) > 0 {
		line("\n## Start and memory\n\nFrom exec to the first reply: %.0f ms (%.0f - %.0f). Resident memory: %.0f MiB idle, %.0f MiB at most under full load.",
			ms(median(r.Start)), ms(slices.Min(r.Start)), ms(slices.Max(r.Start)), mib(r.Memory.Idle), mib(r.Memory.Load))
	}
	r.curvesTo(line, "customers in one merchant", r.Sizes)
	r.curvesTo(line, fmt.Sprintf("merchants, of %d customers each", crowd), r.Crowds)
	r.soakTo(line)
	return md.String()
}

// ratiosTo writes the table of ratios.
func (r *report) ratiosTo(line func(string, ...any)) {
	if len(r.Series) == 0 && len(r.List.Lumen) == 0 && len(r.LongList.Lumen) == 0 {
		return
	}
	line("\n## Ratios\n\nThe median of the rounds, with the lowest and the highest.\n")
	line("| what | measured against | ratio | lowest - highest | must | goal |\n|---|---|---|---|---|---|")
	for _, c := range comparisons {
		if all := r.compare(c); len(all) > 0 {
			line("| %s | %s | **%.2f** | %.2f - %.2f | %s | %s |", c.What, c.Against, median(all), all[0], all[len(all)-1], c.bound(c.must), c.bound(c.goal))
		}
	}
	for _, l := range []lists{r.List, r.LongList} {
		if all := l.ratios(); len(all) > 0 {
			line("| `GET /api/customers` of %d, time | bare streaming handler | **%.2f** | %.2f - %.2f | at most 1.3 | at most 1.0 |",
				l.Lumen[0].Customers, median(all), all[0], all[len(all)-1])
		}
	}
}

// seriesTo writes the results of each series.
func (r *report) seriesTo(line func(string, ...any)) {
	if len(r.Series) == 0 {
		return
	}
	line("\n## Throughput, latency and processor time\n\n" +
		"Medians of the rounds. CPU is the processor time of one request: of the server, and of Postgres.\n")
	line("| workload / server | requests/s | p50 ms | p95 ms | p99 ms | CPU µs | Postgres µs |\n|---|---|---|---|---|---|---|")
	for _, s := range r.Series {
		line("| %s | %.0f | %.2f | %.2f | %.2f | %s | %s |", s.Name,
			s.median(func(s sample) float64 { return s.PerSecond }),
			s.median(func(s sample) float64 { return ms(s.P50) }), s.median(func(s sample) float64 { return ms(s.P95) }),
			s.median(func(s sample) float64 { return ms(s.P99) }),
			known(s.median(func(s sample) float64 { return float64(s.CPU.Microseconds()) })),
			known(s.median(func(s sample) float64 { return float64(s.PostgresCPU.Microseconds()) })))
	}
}

// listsTo writes the cost of receiving lists.
func (r *report) listsTo(line func(string, ...any)) {
	if len(r.List.Lumen) == 0 && len(r.LongList.Lumen) == 0 {
		return
	}
	line("\n## The list\n\n| customers | server | time s | first byte ms | MiB received | memory growth MiB |\n|---|---|---|---|---|---|")
	for _, l := range []lists{r.List, r.LongList} {
		for i, server := range []string{"Lumen", "bare"} {
			if all := [][]listed{l.Lumen, l.Bare}[i]; len(all) > 0 {
				m := slices.SortedFunc(slices.Values(all), func(a, b listed) int { return int(a.Time - b.Time) })[len(all)/2]
				var first time.Duration
				var growth uint64
				for _, one := range all {
					first, growth = max(first, one.FirstByte), max(growth, one.Growth)
				}
				line("| %d | %s | %.2f | %.1f at most | %.1f | %.1f at most |", m.Customers, server, m.Time.Seconds(), ms(first), mib(uint64(m.Bytes)), mib(growth))
			}
		}
	}
}

// curvesTo writes a table of curves.
func (r *report) curvesTo(line func(string, ...any), what string, curves []curve) {
	if len(curves) == 0 {
		return
	}
	head, rule := "", ""
	for _, p := range curves[0].Points {
		head, rule = head+fmt.Sprintf(" %d |", p.Size), rule+"---|"
	}
	line("\n## Scaling: %s\n\nThe median latency of one client, in ms, and the ratio of the largest to the smallest.\n", what)
	line("| |%s largest : smallest |\n|---|%s---|", head, rule)
	for _, c := range curves {
		cells := ""
		for _, p := range c.Points {
			cells += fmt.Sprintf(" %.2f |", ms(median(p.Medians)))
		}
		line("| %s |%s %.2f |", c.Name, cells, c.spread())
	}
}

// bound returns the text of the limit of a ratio.
func (c comparison) bound(ratio float64) string {
	switch {
	case ratio == 0:
		return "-"
	case c.time:
		return fmt.Sprintf("at most %g", ratio)
	}
	return fmt.Sprintf("%.2f", ratio)
}

// ratios returns the ratio of each round, smallest first.
func (l lists) ratios() []float64 {
	var all []float64
	for i := range l.Lumen {
		all = append(all, float64(l.Lumen[i].Time)/float64(l.Bare[i].Time))
	}
	slices.Sort(all)
	return all
}

func (s *series) median(of func(sample) float64) float64 {
	var all []float64
	for _, one := range s.Samples {
		all = append(all, of(one))
	}
	return median(all)
}

func known(figure float64) string {
	if figure <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", figure)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mib(octets uint64) float64 { return float64(octets) / (1 << 20) }
