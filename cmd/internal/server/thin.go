package server

import (
	"sync"
	"time"
)

// singly is how many refusals a second are logged one by one. What a flood brings beyond is only counted: a line takes as long
// to write as the rest of a refusal, and that time is better spent on those who are served.
const singly = 100

// thin says which refusals are logged.
type thin struct {
	mu           sync.Mutex
	second       int64
	said, unsaid int
}

// next reports whether a refusal is logged, and if so, how many before it were not.
func (t *thin) next(now time.Time) (logged bool, before int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second := now.Unix(); second != t.second {
		t.second, t.said = second, 0
	}
	if t.said == singly {
		t.unsaid++
		return false, 0
	}
	t.said++
	before, t.unsaid = t.unsaid, 0
	return true, before
}
