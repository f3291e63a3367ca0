package playground

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// An asset is kept compressed and sent so, to all but the few clients that ask for it plain.
type asset struct {
	contentType  string
	brotli, gzip []byte
}

// assets are the built files by name.
type assets map[string]*asset

// contentTypes do not depend on the machine's own table.
var contentTypes = map[string]string{
	".js":      "text/javascript; charset=utf-8",
	".css":     "text/css; charset=utf-8",
	".svg":     "image/svg+xml",
	".txt":     "text/plain; charset=utf-8",
	".graphql": "text/plain; charset=utf-8",
}

func loadAssets() (assets, error) {
	files := make(assets)
	entries, err := fs.ReadDir(dist, "dist/assets")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		content, err := dist.ReadFile("dist/assets/" + entry.Name())
		if err != nil {
			return nil, err
		}
		encoding := path.Ext(entry.Name())
		file := files.named(strings.TrimSuffix(entry.Name(), encoding))
		if encoding == ".br" {
			file.brotli = content
		} else {
			file.gzip = content
		}
	}
	return files, nil
}

func (a assets) named(name string) *asset {
	if a[name] == nil {
		a[name] = &asset{contentType: contentTypes[path.Ext(name)]}
	}
	return a[name]
}

// addText adds a file that is made at start, and returns its name.
func (a assets) addText(name, ext string, content []byte) string {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = w.Write(content) // a buffer takes everything
	_ = w.Close()
	name = hashed(name, ext, content)
	a.named(name).gzip = compressed.Bytes()
	return name
}

func (f *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	content := f.gzip
	switch {
	case f.brotli != nil && accepts(r, "br"):
		h.Set("Content-Encoding", "br")
		content = f.brotli
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
}

// accepts tells whether the request admits the coding. One that is weighted zero is refused.
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
