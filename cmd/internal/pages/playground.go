package pages

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"lumen/graph/playground"
)

const (
	playgroundAssets = playground.Path + "/assets/"
	playgroundConfig = playground.Path + "/config.json"
)

// playgroundPolicy lets the page load this server's files and send requests to this server only. The
// editor, Monaco, sets styles on elements that it creates, and its style sheet holds its icons and
// squiggles as data URLs.
const playgroundPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src data:; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; " +
	"base-uri 'none'; form-action 'none'"

// addPlayground serves the playground. Its 404 replies in JSON carry its security headers too.
func addPlayground(mux *http.ServeMux, options Options, notFound http.Handler) {
	s := site{ServeMux: mux, policy: playgroundPolicy, sameOrigin: true}
	mux.Handle(playground.Path, s.secure(notFound.ServeHTTP))
	mux.Handle(playground.Path+"/", s.secure(notFound.ServeHTTP))

	for _, gzipped := range must(fs.Glob(playground.Files, "dist/assets/*.gz")) {
		file := strings.TrimSuffix(gzipped, ".gz")
		brotli := must(playground.Files.ReadFile(file + ".br"))
		s.compressed(playgroundAssets+path.Base(file), brotli, must(playground.Files.ReadFile(gzipped)))
	}

	config := "" // the page asks for a key
	if len(options.Demo) > 0 {
		config = options.BasePath + playgroundConfig // the page signs in with a demo merchant's key
		s.get(playgroundConfig, noStore, func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string][]Merchant{"merchants": options.Demo})
		})
	}
	index := page(playground.Files, "dist/index.html")(map[string]string{
		"BasePath": options.BasePath, "Schema": options.BasePath + "/schema.graphql", "Config": config,
	})
	s.get(playground.Path, revalidate, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(index) })
}

// compressed serves a file that is stored compressed. Clients that accept neither coding, which are
// few, get it decompressed.
func (s site) compressed(path string, brotli, gzipped []byte) {
	s.get(path, immutable, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Vary", "Accept-Encoding")
		content := gzipped
		switch {
		case accepts(r, "br"):
			h.Set("Content-Encoding", "br")
			content = brotli
		case accepts(r, "gzip"):
			h.Set("Content-Encoding", "gzip")
		default:
			plain, err := gzip.NewReader(bytes.NewReader(content))
			if err == nil {
				_, _ = io.Copy(w, plain)
			}
			return
		}
		h.Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	})
}

// accepts reports whether the request accepts the coding. A weight of zero refuses it.
func accepts(r *http.Request, coding string) bool {
	for _, element := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(element))
		if err != nil || name != coding {
			continue
		}
		weight, err := strconv.ParseFloat(params["q"], 64)
		return err != nil || weight > 0
	}
	return false
}
