//go:build race

package harness

func init() { raceFlags = []string{"-race"} }
