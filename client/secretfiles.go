package client

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kimi-go/kimi-go/internal/tempdir"
)

// secretKind is the kind of the folders for options that may have secrets.
var secretKind = tempdir.Kind{
	Prefix: "kimi-go-secrets-",
	Notice: "The kimi-go library made this folder for a start of kimi. It removes the folder when kimi has started,\n" +
		"or, if the program was killed before, with the next start.\n",
	Files: []string{"config.toml", "mcp.json"},
}

// secretDir is a folder of files that only this user can read. kimi reads them only while it starts. They are removed
// before the session is used, so they do not stay if this program is killed later.
type secretDir struct {
	dir *tempdir.Dir // nil if there is none yet
}

// write writes a file into the folder. It makes the folder if there is none yet.
func (d *secretDir) write(name string, data []byte) (string, error) {
	if d.dir == nil {
		secretKind.Sweep()
		dir, err := secretKind.Make()
		if err != nil {
			return "", fmt.Errorf("client: temporary files: %w", err)
		}
		d.dir = dir
	}
	path := filepath.Join(d.dir.Path, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("client: temporary files: %w", err)
	}
	return path, nil
}

// remove removes the files that write has made, and no others.
func (d *secretDir) remove() error {
	if d.dir == nil {
		return nil
	}
	if err := d.dir.Remove(); err != nil {
		return fmt.Errorf("client: temporary files: %w", err)
	}
	d.dir = nil
	return nil
}
