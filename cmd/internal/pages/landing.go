// Package pages serves the page at the root: what this server is, where to go from there, the first commands to paste.
package pages

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"runtime/debug"
)

// Options say what the page tells of.
type Options struct {
	// Demo is the merchant of a development server; nil in production.
	Demo *Demo
	// Playground and Introspection tell whether they are on, TrustedOnly whether GraphQL executes trusted documents alone.
	Playground, Introspection, TrustedOnly bool
}

// Demo is the merchant that a development server made.
type Demo struct{ MerchantName, MerchantID, APIKey string }

var (
	//go:embed landing/page.html
	pageText string
	//go:embed landing/landing.css
	style []byte
	//go:embed landing/icon.svg
	icon []byte

	page = template.Must(template.New("page").Parse(pageText))
)

const policy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// AssetsPath is the folder of the page's style and icon.
const AssetsPath = "/assets/"

// NewHandler returns the handler of "/" and AssetsPath. What is not there, or asked for with another method than GET and
// HEAD, goes to notFound.
func NewHandler(options Options, notFound http.Handler) http.Handler {
	styleName, iconName := hashed("landing", ".css", style), hashed("icon", ".svg", icon)
	mux := http.NewServeMux()
	mux.Handle("/", notFound)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var text bytes.Buffer
		if err := page.Execute(&text, map[string]any{
			"Options": options, "Style": AssetsPath + styleName, "Icon": AssetsPath + iconName,
			"Origin": origin(r), "Version": version(),
		}); err != nil {
			panic(err) // the template and what it is given are constant
		}
		h := pageHeader(w)
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		if options.Demo != nil { // the key is on it
			h.Set("Cache-Control", "no-store")
		}
		_, _ = w.Write(text.Bytes())
	})
	asset := func(name, contentType string, content []byte) {
		mux.HandleFunc("GET "+AssetsPath+name, func(w http.ResponseWriter, r *http.Request) {
			h := pageHeader(w)
			h.Set("Content-Type", contentType)
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(content)
		})
	}
	asset(styleName, "text/css; charset=utf-8", style)
	asset(iconName, "image/svg+xml", icon)
	return mux
}

func pageHeader(w http.ResponseWriter) http.Header {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	return h
}

// origin is what the commands begin with: the server as the reader reached it. TLS is a proxy's work, which says so.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// version is the program's, as the Go toolchain wrote it down when it was built.
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

// hashed returns a name that holds a hash of the content, so that the file can be cached for good.
func hashed(name, ext string, content []byte) string {
	sum := sha256.Sum256(content)
	return name + "-" + hex.EncodeToString(sum[:4]) + ext
}
