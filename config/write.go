package config

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// MarshalTOML returns the config as TOML for a file, with the secrets in clear text. It does not validate. An integer
// of more than 64 bits in Extra is an error, because TOML has no such integers. A nil or zero Config gives one comment
// line.
func (c *Config) MarshalTOML() ([]byte, error) {
	tree, err := c.tree(&writer{})
	if err != nil {
		return nil, err
	}
	if len(tree) == 0 {
		return []byte("# every key is at its default\n"), nil
	}
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(tree); err != nil {
		return nil, &Error{Text: "cannot write TOML: unsupported value in Extra"}
	}
	return b.Bytes(), nil
}

// MarshalJSONFile returns the config as JSON for a file, with the secrets in clear text. It does not validate.
// json.Marshal of a Config is for display: it masks the secrets and leaves out the unknown keys.
func (c *Config) MarshalJSONFile() ([]byte, error) {
	tree, err := c.tree(&writer{json: true})
	if err != nil {
		return nil, err
	}
	return marshalJSON(tree)
}

func (c *Config) tree(w *writer) (map[string]any, error) {
	if c == nil {
		return map[string]any{}, nil
	}
	tree := w.value("", reflect.ValueOf(c))
	return tree.(map[string]any), w.err()
}

func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, &Error{Text: "cannot write JSON: unsupported value in Extra"}
	}
	return b.Bytes(), nil
}

// A writer converts the table types to maps, lists and scalars for an encoder.
type writer struct {
	problems
	json bool
}

func (w *writer) value(path string, v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return w.time(x)
	case json.Number:
		n := number(x)
		if _, big := n.(json.Number); big && !w.json {
			w.add(path, "does not fit TOML's numbers of 64 bits: save as .json")
		} else if !big {
			return w.value(path, reflect.ValueOf(n))
		}
		return n
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return w.value(path, v.Elem())
	case reflect.Struct:
		if extra := v.FieldByName("Extra"); extra.IsValid() && extra.Type() == reflect.TypeFor[Extra]() {
			return w.table(path, v)
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String {
			return w.mapping(path, v)
		}
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			at := path + "[" + strconv.Itoa(i) + "]"
			if list[i] = w.value(at, v.Index(i)); list[i] == nil && !w.json {
				w.add(at, "is null, which TOML cannot hold: save as .json")
			}
		}
		return list
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			w.add(path, "is not valid UTF-8")
		}
		return v.String() // also for a Secret, whose value goes into the file
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return w.value(path, reflect.ValueOf(json.Number(strconv.FormatUint(v.Uint(), 10))))
	case reflect.Float32, reflect.Float64:
		return w.float(path, v.Float())
	}
	w.add(path, "a Go "+v.Type().String()+" cannot be written")
	return nil
}

func (w *writer) table(path string, v reflect.Value) map[string]any {
	out := w.mapping(path, v.FieldByName("Extra"))
	for _, f := range fields(v.Type()) {
		fv := v.Field(f.index)
		if kind := fv.Kind(); !f.rules.required && (fv.IsZero() || (kind == reflect.Map || kind == reflect.Slice) && fv.Len() == 0) {
			continue
		}
		out[f.name] = w.value(join(path, f.name), fv)
	}
	return out
}

func (w *writer) mapping(path string, v reflect.Value) map[string]any {
	out := map[string]any{}
	for it := v.MapRange(); it.Next(); {
		key := it.Key().String()
		if !utf8.ValidString(key) {
			w.add(join(path, key), "is not valid UTF-8")
		}
		if e := w.value(join(path, key), it.Value()); e != nil || w.json {
			out[key] = e
		}
	}
	return out
}

// float writes a whole float as a float in JSON: 5.0, not 5.
func (w *writer) float(path string, f float64) any {
	if !w.json {
		return f
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		w.add(path, "JSON has no NaN and no infinity: save as .toml")
		return nil
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.Number(s)
}

// time returns, for JSON, the text of the time in TOML.
func (w *writer) time(t time.Time) any {
	if !w.json {
		return t
	}
	text, err := toml.Marshal(map[string]time.Time{"t": t})
	if err != nil {
		return t
	}
	return strings.TrimSpace(strings.TrimPrefix(string(text), "t = "))
}
