package config

import (
	"os"
	"path/filepath"
)

// Save writes the config to path with the secrets in clear text: as JSON if the path ends in .json, otherwise as TOML.
// The file has mode 0600. Save writes a new file next to the old one, syncs it and renames it, so a reader sees the old
// file or the new one. If Save fails, the old file is not changed and no other file is left. Missing folders are made,
// with mode 0700. If path is a symbolic link, the link stays and its target is replaced. Comments of the old file are
// lost. Save does not validate.
func (c *Config) Save(path string) error {
	data, err := c.MarshalTOML()
	if isJSON(path) {
		data, err = c.MarshalJSONFile()
	}
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fileError(err)
	}
	if err := replace(path, data); err != nil {
		return fileError(err)
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync() // makes the rename permanent; not every system supports it
		_ = d.Close()
	}
	return nil
}

func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
