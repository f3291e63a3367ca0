package pages

import (
	"embed"
	"net/http"
	"runtime/debug"
)

//go:embed landing
var landing embed.FS

const landingPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// landingAssets maps the name of each file that the templates link to to its path.
var landingAssets = func() map[string]string {
	paths := make(map[string]string)
	for _, name := range []string{"landing.css", "landing.js", "icon.svg"} {
		paths[name] = "/assets/" + hashed(name, must(landing.ReadFile("landing/"+name)))
	}
	return paths
}()

// addLanding serves the page at the root: what this server is, where its parts are, and the first
// commands to paste.
func addLanding(mux *http.ServeMux, options Options) {
	s := site{ServeMux: mux, policy: landingPolicy, sameOrigin: true}
	for name, path := range landingAssets {
		content := must(landing.ReadFile("landing/" + name))
		s.get(path, immutable, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	}
	render := page(landing, "landing/index.html", "landing/frame.html")
	s.get("/{$}", options.cachePage(), func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(render(options.landingData(origin(r))))
	})
}

// landingData is the data of the templates in the folder landing.
func (o Options) landingData(origin string) map[string]any {
	return map[string]any{
		"Options": o, "Assets": landingAssets, "Address": origin + o.BasePath, "Version": version(),
	}
}

// origin returns the origin under which the client reached the server; the commands begin with it.
// A proxy that terminates TLS reports so in X-Forwarded-Proto.
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
