// Package embedded runs a private Postgres for one program: the one behind `lumen dev`, and the test harness's stand-in
// when no Docker answers. It uses a Postgres found on the machine or fetches one once, keeps the data between runs, listens
// on loopback TCP only, and never lets the server outlive the program.
package embedded

import "fmt"

// Config says where an instance lives and how it is run.
type Config struct {
	// DataDir is the folder of this instance, made if absent. The cluster lives in DataDir/postgres, the password in
	// DataDir/password, the server's log in DataDir/postgres.log.
	DataDir string
	// BinDir is the folder with the Postgres programs to use, Repository where Postgres is downloaded from. When empty,
	// the environment's LUMEN_POSTGRES_BIN and LUMEN_POSTGRES_REPOSITORY say it, else they are found.
	BinDir, Repository string
	// Reset removes the cluster, with all data, before the start.
	Reset bool
	// Notice is told what a person should know: a folder that was moved, a download, a stale pid file. It may be nil and is
	// called only while Start runs, from the goroutine that called Start.
	Notice func(format string, args ...any)
	// Parameters are extra server settings, e.g. {"fsync": "off"}. They win over this package's defaults, but not over the
	// address, the port and the log's destination, which are its contract. fsync=off also makes the first start quicker.
	Parameters map[string]string
}

// Server is a running Postgres that belongs to this process. Its methods may be called from several goroutines.
type Server struct {
	url     string
	dataDir string
	done    <-chan struct{}
	stop    func() error
}

// URL returns the owner's connection string, over loopback TCP with a port of this run and the password of this folder.
// It is usable by psql, and it is a secret.
func (s *Server) URL() string { return s.url }

// DataDir returns the folder really used. It differs from Config.DataDir when the program runs as root and the
// unprivileged user that Postgres then needs can't reach the folder asked for.
func (s *Server) DataDir() string { return s.dataDir }

// Done returns a channel that is closed when Postgres has exited, asked or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop shuts Postgres down, ending open sessions, and returns when it has exited and the folder is free again. After ten
// seconds it insists. It is safe to call more than once; every call returns the same result, which is an error when
// Postgres did not end in order or had already exited by itself.
func (s *Server) Stop() error { return s.stop() }

// InUseError is returned by Start when another live program holds the folder.
type InUseError struct {
	DataDir string
	PID     int // 0 when the holder could not be told
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.DataDir)
	}
	return fmt.Sprintf("%s is in use by process %d", e.DataDir, e.PID)
}
