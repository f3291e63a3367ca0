//go:build !linux

package storetest

import "os"

// parentFolder returns "", which stands for the usual folder.
func parentFolder() string { return "" }

// claim does nothing on this system.
func claim(string) (*os.File, error) { return nil, nil }

// abandoned reports false: this system does not tell whether the process that made the folder is
// alive. The system's own cleaning of its temporary folder removes what killed tests leave.
func abandoned(string) bool { return false }
