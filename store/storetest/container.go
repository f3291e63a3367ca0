package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/wait"
)

const defaultImage = "postgres:17-alpine"

// memoryFolder holds the container's data, in memory: to make a database is to make 300 files, for which a disk takes up
// to twenty times as long. It is a folder of our own, since the images' default for PGDATA depends on the version.
const memoryFolder = "/var/lib/lumen-test"

// How long each step towards a container may take, so that a daemon without a network does not eat the tests' time.
const (
	daemonTimeout    = 10 * time.Second
	pullTimeout      = 60 * time.Second
	containerTimeout = 2 * time.Minute
)

// startContainer runs the image, or says what is missing for it.
func startContainer(ctx context.Context) (_ *server, err error) {
	if !testing.Verbose() {
		log.SetDefault(log.NewNoopLogger())
	}
	image := os.Getenv(imageVariable)
	if image == "" {
		image = defaultImage
	}
	if err := ensureImage(ctx, image); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(ctx, containerTimeout)
	defer cancel()
	password := randomText()
	connect := func(host string, port network.Port) string {
		return (&url.URL{
			Scheme: "postgres", User: url.UserPassword("postgres", password),
			Host: host + ":" + port.Port(), Path: "/postgres", RawQuery: "sslmode=disable",
		}).String()
	}
	container, err := postgres.Run(ctx, image,
		postgres.WithUsername("postgres"), postgres.WithPassword(password), postgres.WithDatabase("postgres"),
		testcontainers.WithTmpfs(map[string]string{memoryFolder: "rw"}),
		testcontainers.WithEnv(map[string]string{"PGDATA": memoryFolder + "/data"}),
		testcontainers.WithCmd(append([]string{"postgres"}, flags()...)...),
		// The log would say "ready" once too early: the image starts the server twice, first without TCP.
		testcontainers.WithWaitStrategyAndDeadline(containerTimeout,
			wait.ForSQL("5432/tcp", "pgx", connect).WithPollInterval(50*time.Millisecond)),
	)
	// Before the error is looked at: a container that was made and did not start must go, too.
	stop := func() error {
		return testcontainers.TerminateContainer(container, testcontainers.StopTimeout(0))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", image, err), stop())
	}
	address, err := container.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", image, err), stop())
	}
	return &server{url: address, stop: stop}, nil
}

// ensureImage returns nil when a daemon answers and has the image, or could pull it.
func ensureImage(ctx context.Context, image string) error {
	reach, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	daemon, err := testcontainers.NewDockerClientWithOpts(reach)
	if err != nil {
		return fmt.Errorf("no Docker daemon answers: %w", err)
	}
	defer daemon.Close()
	// testcontainers goes on to the default socket when DOCKER_HOST does not answer; who set it meant that one.
	if host := os.Getenv("DOCKER_HOST"); host != "" && host != daemon.DaemonHost() {
		return fmt.Errorf("no Docker daemon answers at DOCKER_HOST=%s", host)
	}

	if _, err := daemon.ImageInspect(reach, image); err == nil {
		return nil
	}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	pull, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	if err := provider.PullImage(pull, image); err != nil {
		return fmt.Errorf("pull %s: %w", image, err)
	}
	// A pull that breaks off halfway is no error of PullImage's.
	if _, err := daemon.ImageInspect(pull, image); err != nil {
		return fmt.Errorf("pull %s: %w", image, err)
	}
	return nil
}
