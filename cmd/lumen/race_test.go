//go:build race

package main

func init() { raced = []string{"-race"} }
