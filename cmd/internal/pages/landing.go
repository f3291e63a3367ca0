package pages

import (
	"embed"
	"net/http"
	"runtime/debug"
)

//go:embed landing
var landing embed.FS

const landingPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; " +
	"base-uri 'none'; form-action 'none'"

// addLanding serves the page at the root: what this server is, where to go from there, the first
// commands to paste.
func addLanding(mux *http.ServeMux, options Options) {
	s := site{ServeMux: mux, policy: landingPolicy, sameOrigin: true}
	asset := func(name string) string {
		content := must(landing.ReadFile("landing/" + name))
		path := "/assets/" + hashed(name, content)
		s.get(path, immutable, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
		return options.BasePath + path
	}
	style, icon, render := asset("landing.css"), asset("icon.svg"), page(landing, "landing/page.html")
	s.get("/{$}", options.cachePage(), func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(render(map[string]any{
			"Options": options, "Style": style, "Icon": icon, "Address": origin(r) + options.BasePath, "Version": version(),
		}))
	})
}

// origin is what the commands begin with: the server as the reader reached it. A proxy that
// terminates TLS says so in X-Forwarded-Proto.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// version is the program's version, which the Go toolchain recorded in the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown version"
	}
	text := info.Main.Version
	if text == "" || text == "(devel)" {
		text = "development build"
	}
	return text + ", " + info.GoVersion
}
