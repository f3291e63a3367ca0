package store

// Optional is a value of a partial update: absent (its zero value), null, or set.
type Optional[T any] struct {
	present bool
	value   *T
}

// Set returns a present value.
func Set[T any](value T) Optional[T] { return Optional[T]{present: true, value: &value} }

// SetPtr returns a present value, or null when value is nil.
func SetPtr[T any](value *T) Optional[T] { return Optional[T]{present: true, value: value} }

// Null returns a present null.
func Null[T any]() Optional[T] { return Optional[T]{present: true} }

// Present reports whether the caller said anything.
func (o Optional[T]) Present() bool { return o.present }

// Ptr returns the value, or nil for null and absent.
func (o Optional[T]) Ptr() *T { return o.value }
