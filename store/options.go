package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// Versions are the versions of which a write expects the row to have one. Nil expects none in
// particular.
type Versions []int64

func (v Versions) allow(version int64) bool { return v == nil || slices.Contains(v, version) }

// WriteOptions are what a caller says of a write besides the values of fields. The zero value sets no
// conditions.
type WriteOptions struct {
	// Expected makes an update or a deletion depend on the version of the row. Creations ignore it.
	Expected Versions
	// Faults are the faults of these options. They are reported together with those of the fields.
	Faults []Fault
	// Receipt, if not nil, is set by a write that changes something. It stays zero for a bound caller:
	// it tells how often the merchant's other rows change (I1).
	Receipt *Receipt
}

// Receipt tells the caller of a write where the log of changes recorded it.
type Receipt struct {
	// Epoch and Sequence identify the change. Sequence is 0 if the write changed nothing.
	Epoch    uint64
	Sequence int64
}

// SequenceHeader is the HTTP header of REST replies that holds the receipt of a write.
const SequenceHeader = "Lumen-Sequence"

// String returns the value of SequenceHeader, or "" without a change.
func (r Receipt) String() string {
	if r.Sequence == 0 {
		return ""
	}
	return fmt.Sprintf("%016x.%d", r.Epoch, r.Sequence)
}

// judge adds the faults of the options and of the request to those of the fields. An error with
// another code hides them.
func (o WriteOptions) judge(ctx context.Context, refused error) error {
	faults := append(slices.Clip(o.Faults), checkReason(ctx)...)
	switch {
	case len(faults) == 0:
		return refused
	case refused == nil:
		return Invalid(faults...)
	case AsError(refused).Code != InvalidInput:
		return refused
	}
	return Invalid(slices.Concat(faults, AsError(refused).Faults)...)
}

// versionColumn counts the changes of a row, from 1.
const versionColumn = "version"

// VersionOf returns the version of a row: 1 for a new one, and one more after each change.
func VersionOf[T any](row *T) int64 {
	text, _ := declared[T]().column(versionColumn).key(row)
	version, _ := strconv.ParseInt(text, 10, 64)
	return version
}

// ETag returns the entity tag of a version, such as `"7"`.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }
