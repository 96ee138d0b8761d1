package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate checks by the rules of kimi_cli/config.py (1.51.0) whether Kimi Code accepts this config: enumerations,
// bounds, DefaultModel in Models, every Model.Provider in Providers. Every violation is an *[Error] with its key path.
// A nil Config is valid.
//
// As in Kimi Code, required strings may be empty, because base_url or api_key can come from the environment; see
// [Config.Effective]. Only Parse and Load check that the required keys are in the file.
func (c *Config) Validate() error {
	var p problems
	p.config(c)
	return p.err()
}

func (p *problems) config(c *Config) {
	if c == nil {
		return
	}
	p.check("", reflect.ValueOf(c).Elem(), rules{})
	if _, ok := c.Models[c.DefaultModel]; !ok && c.DefaultModel != "" && !p.seen["models"] {
		p.add("default_model", quote(c.DefaultModel)+" is not in models; "+have(c.Models, "a [models.NAME] table"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		provider := c.Models[name].Provider
		if _, ok := c.Providers[provider]; !ok && !p.seen["providers"] {
			p.add(join(join("models", name), "provider"), quote(provider)+" is not in providers; "+have(c.Providers, "a [providers.NAME] table"))
		}
	}
}

func have[V any](m map[string]V, table string) string {
	if len(m) == 0 {
		return "there are none: add " + table
	}
	keys := slices.Sorted(maps.Keys(m))
	for i, k := range keys {
		keys[i] = quote(k)
	}
	return "use one of " + strings.Join(keys[:min(len(keys), 10)], ", ") + " or add " + table
}

// An enum is a string type with a fixed set of values.
type enum interface{ values() []string }

// rules are the rules in the kimi tag of a field.
type rules struct {
	required, null bool
	alias          string
	min, max       string
}

// A field is one key of a table.
type field struct {
	name  string
	index int
	rules rules
}

// fields lists the keys of a table type, without Extra.
func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		f := field{name: name, index: i}
		for rule := range strings.SplitSeq(t.Field(i).Tag.Get("kimi"), ",") {
			switch k, v, _ := strings.Cut(rule, "="); k {
			case "required":
				f.rules.required = true
			case "null":
				f.rules.null = true
			case "alias":
				f.rules.alias = v
			case "min":
				f.rules.min = v
			case "max":
				f.rules.max = v
			}
		}
		list = append(list, f)
	}
	return list
}

// check walks through a value of one of the table types, and reports every violation of a rule.
func (p *problems) check(path string, v reflect.Value, r rules) {
	if e, ok := v.Interface().(enum); ok {
		p.checkEnum(path, v.String(), e, r.required)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.check(path, v.Elem(), r)
		}
	case reflect.Struct:
		extra := v.FieldByName("Extra").Interface().(Extra)
		for _, f := range fields(v.Type()) {
			p.check(join(path, f.name), v.Field(f.index), f.rules)
			if _, ok := extra[f.name]; ok {
				p.add(join(path, f.name), "is a known key: set the field, not Extra")
			}
		}
	case reflect.Map:
		if v.Type() == reflect.TypeFor[Extra]() {
			return
		}
		for _, k := range slices.SortedFunc(slices.Values(v.MapKeys()), byString) {
			p.check(join(path, k.String()), v.MapIndex(k), rules{})
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.check(fmt.Sprintf("%s[%d]", path, i), v.Index(i), rules{required: true})
		}
	case reflect.Int:
		p.checkBounds(path, float64(v.Int()), r)
	case reflect.Float64:
		p.checkBounds(path, v.Float(), r)
	}
}

func byString(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) }

func (p *problems) checkEnum(path, value string, e enum, required bool) {
	switch list := strings.Join(e.values(), ", "); {
	case slices.Contains(e.values(), value), value == "" && !required:
	case value == "":
		p.add(path, "required: one of "+list)
	default:
		if value = quote(value); len(value) > 24 { // longer than any value of an enumeration, so perhaps a misplaced API key
			value = "the value"
		}
		p.add(path, value+" is not one of "+list)
	}
}

// checkBounds reports a number that is out of its bounds. NaN is out of all bounds.
func (p *problems) checkBounds(path string, value float64, r rules) {
	lo, errLo := strconv.ParseFloat(r.min, 64)
	hi, errHi := strconv.ParseFloat(r.max, 64)
	switch {
	case errLo == nil && errHi == nil && !(value >= lo && value <= hi):
		p.add(path, "must be from "+r.min+" to "+r.max)
	case errLo == nil && !(value >= lo):
		p.add(path, "must be at least "+r.min)
	}
}
