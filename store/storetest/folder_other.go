//go:build !linux

package storetest

import "os"

// parentFolder is where the data go; "" is the usual folder.
func parentFolder() string { return "" }

// claim does nothing here.
func claim(string) (*os.File, error) { return nil, nil }

// abandoned can't be told here, so that what a killed test leaves is the system's to clear.
func abandoned(string) bool { return false }
