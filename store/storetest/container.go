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

// memoryFolder holds the container's data, in memory. Postgres makes 300 files for a database,
// which takes up to twenty times as long on a disk. The images' own PGDATA depends on the version.
const memoryFolder = "/var/lib/lumen-test"

// These limits bound the steps of a container's start. A daemon without a network must not use up
// the time of the tests.
const (
	daemonTimeout    = 10 * time.Second
	pullTimeout      = 60 * time.Second
	containerTimeout = 2 * time.Minute
)

// startContainer runs the image. Its error says what is missing.
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
		// The log says "ready" too early: the image starts the server twice, first without TCP.
		testcontainers.WithWaitStrategyAndDeadline(containerTimeout,
			wait.ForSQL("5432/tcp", "pgx", connect).WithPollInterval(50*time.Millisecond)),
	)
	// A container that was made and did not start must be removed, too.
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
	return &server{url: address, origin: "a container of " + image, stop: stop}, nil
}

// ensureImage returns nil if a daemon answers and has the image, or has pulled it.
func ensureImage(ctx context.Context, image string) error {
	reach, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	daemon, err := testcontainers.NewDockerClientWithOpts(reach)
	if err != nil {
		return fmt.Errorf("no Docker daemon answers: %w", err)
	}
	defer daemon.Close()
	// testcontainers tries the default socket when DOCKER_HOST does not answer. The user who set
	// DOCKER_HOST wants that daemon.
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
	// PullImage returns no error for a pull that ends halfway.
	if _, err := daemon.ImageInspect(pull, image); err != nil {
		return fmt.Errorf("pull %s: %w", image, err)
	}
	return nil
}
