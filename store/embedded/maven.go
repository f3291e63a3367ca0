//go:build unix

package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
)

// mavenEditions are the builds that zonky publishes as
// io.zonky.test.postgres:embedded-postgres-binaries-*, one for each major version. Versions are
// pinned because a Maven repository need not list its contents. The older major versions are for
// data that an older Postgres created.
var mavenEditions = map[int]string{18: "18.3.0", 17: "17.5.0", 16: "16.9.0", 15: "15.13.0", 14: "14.18.0"}

func (f *fetcher) fromMaven(major int) source {
	edition, ok := mavenEditions[major]
	if !ok {
		return source{name: "Maven", unavailable: fmt.Errorf("there is no download of Postgres %d", major)}
	}
	artifact := "embedded-postgres-binaries-" + mavenPlatform()
	folder := artifact + "-" + edition
	address := fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%s.jar", f.repository, artifact, edition, folder)
	return source{name: "Maven", version: edition, folder: folder, fetch: func(ctx context.Context, work string) error {
		f.progress.notice("downloading %s", redacted(address))
		jar := filepath.Join(work, "jar")
		if err := f.download(ctx, address, jar); err != nil {
			return err
		}
		err := f.progress.waiting("unpacking Postgres "+edition, func() error { return unpackJar(jar, work) })
		if err != nil {
			return fmt.Errorf("unpack %s: %w", redacted(address), err)
		}
		return os.Remove(jar)
	}}
}

// mavenPlatform names this machine as the archives do.
func mavenPlatform() string {
	arch := runtime.GOARCH
	switch arch {
	case "arm64":
		arch = "arm64v8"
	case "386":
		arch = "i386"
	}
	if usesMusl() {
		arch += "-alpine"
	}
	return runtime.GOOS + "-" + arch
}

// download saves the file at address. The repository must publish the file's checksum beside it,
// and the two must agree.
func (f *fetcher) download(ctx context.Context, address, path string) error {
	var received, size atomic.Int64
	size.Store(-1)
	status := func() string {
		switch n, of := received.Load(), size.Load(); {
		case n == 0:
			return "downloading Postgres: waiting for the repository"
		case of < 0:
			return "downloading Postgres: " + megabytes(n)
		default:
			return "downloading Postgres: " + megabytes(n) + " of " + megabytes(of)
		}
	}
	return f.progress.during(status, func() error {
		var published string
		err := f.downloader.get(ctx, address+".sha256", func(body io.Reader, _ int64) error {
			text, err := io.ReadAll(io.LimitReader(body, 1<<10))
			published, _, _ = strings.Cut(strings.TrimSpace(string(text)), " ")
			return err
		})
		if err != nil {
			return err
		}
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer file.Close()
		sum := sha256.New()
		err = f.downloader.get(ctx, address, func(body io.Reader, length int64) error {
			size.Store(length)
			_, err := io.Copy(io.MultiWriter(file, sum, countTo(&received)), body)
			return err
		})
		if err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(got, published) {
			return fmt.Errorf("fetch %s: its checksum is %s, published is %q", redacted(address), got, published)
		}
		return file.Close()
	})
}

// countTo returns a writer that adds the number of bytes written to n.
func countTo(n *atomic.Int64) io.Writer { return counter{n} }

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
