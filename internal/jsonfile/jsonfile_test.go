package jsonfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSet(t *testing.T) {
	for _, tt := range []struct{ name, old, want string }{
		{"compact", `{"id":"a","title":"x","big":12345678901234567890,"deep":{"b":[1, 2]}}`, `{"id":"a","title":"<new>","big":12345678901234567890,"deep":{"b":[1,2]},"kind":true}`},
		{"indented", "{\n  \"title\": null,\n  \"todos\": []\n}\n", "{\n  \"title\": \"<new>\",\n  \"todos\": [],\n  \"kind\": true\n}\n"},
		{"empty", `{}`, `{"title":"<new>","kind":true}`},
		{"missing", "", `{"title":"<new>","kind":true}`},
		{"list", `[]`, ""},
		{"half", `{"title":`, ""},
		{"cut", `{"title":"x"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.json")
			if tt.old != "" {
				if err := os.WriteFile(path, []byte(tt.old), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			err = Set(root, "state.json", 1000, Member{"title", "<new>"}, Member{"kind", true})
			want := tt.want
			if tt.want == "" {
				want = tt.old
			}
			got, readErr := os.ReadFile(path)
			if readErr != nil || string(got) != want || (err != nil) != (tt.want == "") {
				t.Errorf("%s, %v, %v; want %s", got, err, readErr, want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("left: %v, %v", entries, err)
			}
		})
	}
}
