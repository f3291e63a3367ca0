//go:build unix

package embedded

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	owner    = "lumen" // the superuser
	database = "lumen"
)

// stopGrace is the time limit of a fast shutdown, after which it becomes an immediate one.
const stopGrace = 10 * time.Second

// Start runs the Postgres of cfg.DataDir and returns when it accepts connections. The first start
// makes the cluster. ctx bounds the start, with any download, but not the life of the server: Stop
// ends the server, and so does the end of this process for any reason. Start returns an *InUseError
// if another live program uses the folder. When the server does not start, the error has the last
// lines of its log.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	notice := cfg.Notice
	if notice == nil {
		notice = func(string, ...any) {}
	}
	home, err := openFolder(ctx, cfg.DataDir, notice)
	if err != nil {
		return nil, err
	}
	held, err := home.lock(ctx)
	if err != nil {
		return nil, err
	}
	server, err := startLocked(ctx, cfg, home, held, newProgress(notice))
	if err != nil {
		held.release()
		return nil, err
	}
	return server, nil
}

func startLocked(ctx context.Context, cfg Config, home *folder, held *lock, p *progress) (*Server, error) {
	major, err := home.clusterVersion()
	if err != nil {
		return nil, err
	}
	if cfg.Reset && major != 0 {
		if err := home.discardCluster(ctx, p); err != nil {
			return nil, err
		}
		major = 0
	}
	bin, err := newFinder(cfg, home.account, p).find(ctx, major)
	if err != nil {
		return nil, err
	}
	log, err := home.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()

	password, err := home.password(major != 0)
	if err != nil {
		return nil, err
	}
	if err := home.clearPIDFile(ctx, p); err != nil {
		return nil, err
	}
	if major != 0 {
		if err := p.waiting("giving the data to the user of Postgres", home.chownCluster); err != nil {
			return nil, err
		}
	} else {
		if err := initCluster(ctx, home, bin, password, cfg.Parameters["fsync"] == "off", log, p); err != nil {
			return nil, err
		}
	}
	postmaster, port, err := runServer(ctx, home, bin, cfg.Parameters, log, p)
	if err != nil {
		return nil, err
	}
	u := ownerURL(port, password)
	err = p.waiting("waiting for Postgres to accept a session", func() error { return prepareDatabase(ctx, u) })
	if err != nil {
		_ = postmaster.stop()
		return nil, err
	}
	return newServer(home, held, postmaster, u, log.path), nil
}

// newServer returns the Server of a Postgres that is ready. When Postgres ends, for whatever
// reason, it unlocks the folder before it closes Done.
func newServer(home *folder, held *lock, postmaster *process, url, logPath string) *Server {
	done := make(chan struct{})
	go func() {
		<-postmaster.done
		held.release()
		close(done)
	}()
	stop := sync.OnceValue(func() error {
		select {
		case <-done:
			return fmt.Errorf("postgres exited by itself (%s); its log is %s", postmaster.outcome(), logPath)
		default:
		}
		err := postmaster.stop()
		<-done
		if err != nil {
			return fmt.Errorf("stop postgres: %w; its log is %s", err, logPath)
		}
		return nil
	})
	return &Server{url: url, dataDir: home.path, done: done, stop: stop}
}

func ownerURL(port int, password string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(owner, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

type noticeFunc = func(format string, args ...any)

// alive reports whether a process with this id exists, of this user or of another.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}
