package storetest

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// roomForTests is the space that several test binaries may need at the same time, in bytes.
const roomForTests = 4 << 30

// parentFolder returns the folder for the data: one in memory, if there is enough of it. Postgres
// makes 300 files for a database, which takes up to twenty times as long on a disk, with or without
// fsync. "" stands for the usual folder, which TMPDIR always sets.
func parentFolder() string {
	const memory, tmpfsMagic = "/dev/shm", 0x01021994
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &fs) != nil {
		return ""
	}
	if int64(fs.Type) != tmpfsMagic || fs.Bavail*uint64(fs.Bsize) < roomForTests {
		return ""
	}
	return memory
}

// claim marks a folder as in use until this process closes the file or ends in any way.
func claim(folder string) (*os.File, error) {
	file, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// abandoned reports whether the process that claimed the folder is dead. A new folder may not be
// claimed yet.
func abandoned(folder string) bool {
	info, err := os.Lstat(folder)
	if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
		return false
	}
	file, err := claim(folder)
	if err != nil {
		return false
	}
	return file.Close() == nil
}
