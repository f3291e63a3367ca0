//go:build race

package program

func init() { raced = []string{"-race"} }
