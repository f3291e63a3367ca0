package program

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Release is the version and the commit that the linker set. Without them, the version of the
// module and the commit of the clone name the build.
type Release struct{ Version, Commit string }

type versionCommand struct {
	jsonFlag
}

// build describes how this program was built.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // "" when it is not known
	Time    string `json:"time"`   // of the commit, in RFC 3339; "" when it is not known
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisBuild(release Release) build {
	b := build{
		Version: release.Version,
		Commit:  release.Commit,
		Go:      runtime.Version(),
		OS:      runtime.GOOS,
		Arch:    runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	modified := false
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			modified = setting.Value == "true"
		}
	}
	if modified {
		b.Commit += " with changes"
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "development"
	}
	return b
}

func (b build) String() string {
	text := "lumen " + b.Version
	if b.Commit != "" {
		text += fmt.Sprintf(" (commit %s)", strings.TrimSuffix(b.Commit+", "+b.Time, ", "))
	}
	return text + fmt.Sprintf(", %s %s/%s", b.Go, b.OS, b.Arch)
}

func (c versionCommand) Run(t terminal, built build) error {
	if c.JSON {
		return t.printJSON(map[string]any{"build": built})
	}
	_, err := fmt.Fprintln(t.out, built)
	return err
}
