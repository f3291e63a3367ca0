//go:build race

package harness

func init() { raced = []string{"-race"} }
