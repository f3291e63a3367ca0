//go:build unix

package embedded

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// unpackJar unpacks the .txz that a jar of Maven's holds into dir.
func unpackJar(jar, dir string) error {
	archive, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, entry := range archive.File {
		if !strings.HasSuffix(entry.Name, ".txz") {
			continue
		}
		packed, err := entry.Open()
		if err != nil {
			return err
		}
		defer packed.Close()
		plain, err := xz.NewReader(packed)
		if err != nil {
			return err
		}
		return unpackTar(plain, "", dir)
	}
	return errors.New("it holds no .txz")
}

// npmFolder is the folder of npm's package that holds the Postgres.
const npmFolder = "native"

// unpackNPM unpacks the Postgres in a package of npm's into dir. A tarball of npm's holds no
// symbolic links. The package lists them, for a script that npm runs after an installation. Without
// them the loader does not find the libraries under the names that the programs ask for.
func unpackNPM(tarball, dir string) error {
	file, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := unpackTar(plain, "package/"+npmFolder, dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	const list = "pg-symlinks.json"
	text, err := root.ReadFile(list)
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string } // Target becomes a link to Source
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for _, link := range links {
		name, err := filepath.Rel(npmFolder, link.Target)
		if err != nil {
			return err
		}
		to, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := symlink(root, name, to); err != nil {
			return fmt.Errorf("%s: %w", link.Target, err)
		}
	}
	return nil
}

// unpackTar unpacks the entries below a folder of the archive ("" is its top) into dir. All users
// can read what it writes, whatever the umask. It writes through an os.Root: no name and no link in
// the archive leads out of dir.
func unpackTar(plain io.Reader, folder, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Chmod(".", 0o755); err != nil {
		return err
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(header.Name)
		if folder != "" {
			var below bool
			if name, below = strings.CutPrefix(name, folder+"/"); !below {
				continue
			}
		}
		if err := unpackEntry(root, name, header, archive); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, name string, header *tar.Header, content io.Reader) error {
	switch header.Typeflag {
	case tar.TypeDir:
		return makeDirs(root, name)
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		if err := makeDirs(root, path.Dir(name)); err != nil {
			return err
		}
	default:
		return nil
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		return symlink(root, name, header.Linkname)
	case tar.TypeLink:
		return root.Link(path.Clean(header.Linkname), name)
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	mode := os.FileMode(0o644)
	if header.Mode&0o100 != 0 {
		mode = 0o755
	}
	return errors.Join(err, file.Chmod(mode), file.Close())
}

// symlink makes name a link, unless the link leads out of root.
func symlink(root *os.Root, name, to string) error {
	if filepath.IsAbs(to) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), to)) {
		return fmt.Errorf("it links out of the archive, to %s", to)
	}
	return root.Symlink(to, name)
}

// makeDirs is like os.MkdirAll, but other users can enter the folders whatever the umask is.
func makeDirs(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	if err := makeDirs(root, path.Dir(name)); err != nil {
		return err
	}
	if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return root.Chmod(name, 0o755)
}
