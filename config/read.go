package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fill sets dst, a value of one of the table types or a part of one, from a value of the TOML or JSON decoder. It makes
// the conversions of pydantic: "5", 5.0 and true become the integers 5 and 1, and "on" and 1 become true.
func (p *problems) fill(path string, dst reflect.Value, src any) {
	switch dst.Kind() {
	case reflect.Pointer:
		n := reflect.New(dst.Type().Elem())
		p.fill(path, n.Elem(), src)
		dst.Set(n)
	case reflect.Struct:
		if table, ok := src.(map[string]any); ok {
			p.fillTable(path, dst, table)
			return
		}
		p.wrongType(path, "a table", src)
	case reflect.Map:
		table, ok := src.(map[string]any)
		if !ok {
			p.wrongType(path, "a table", src)
		} else if len(table) > 0 {
			dst.Set(reflect.MakeMap(dst.Type()))
		}
		for k, v := range table {
			e := reflect.New(dst.Type().Elem()).Elem()
			p.fill(join(path, k), e, v)
			dst.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.Slice:
		list, ok := src.([]any)
		if !ok {
			p.wrongType(path, "a list", src)
		} else if len(list) > 0 {
			dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
		}
		for i, v := range list {
			p.fill(fmt.Sprintf("%s[%d]", path, i), dst.Index(i), v)
		}
	default:
		p.fillScalar(path, dst, src)
	}
}

func (p *problems) fillTable(path string, dst reflect.Value, table map[string]any) {
	extra := Extra(maps.Clone(table))
	for _, f := range fields(dst.Type()) {
		key := f.name
		src, ok := table[key]
		if !ok && f.rules.alias != "" {
			if src, ok = table[f.rules.alias]; ok {
				key = f.rules.alias
				p.alias = map[string]string{join(path, f.name): join(path, key)} // this is the only alias of config.toml
			}
		}
		delete(extra, key)
		switch {
		case ok && src == nil && f.rules.null:
		case ok:
			p.fill(join(path, key), dst.Field(f.index), src)
		case f.rules.required:
			p.add(join(path, key), "required")
		}
	}
	if len(extra) > 0 {
		dst.FieldByName("Extra").Set(reflect.ValueOf(extra))
	}
}

func (p *problems) fillScalar(path string, dst reflect.Value, src any) {
	switch dst.Kind() {
	case reflect.String:
		s, ok := src.(string)
		if !ok {
			p.wrongType(path, "a string", src)
		} else if e, isEnum := dst.Interface().(enum); isEnum && s == "" {
			p.checkEnum(path, s, e, true)
		}
		dst.SetString(s)
	case reflect.Bool:
		f, ok := toFloat(src)
		if s, isString := src.(string); isString {
			s = strings.ToLower(s)
			yes := slices.Contains([]string{"1", "true", "t", "yes", "y", "on"}, s)
			f, ok = 0, yes || slices.Contains([]string{"0", "false", "f", "no", "n", "off"}, s)
			if yes {
				f = 1
			}
		}
		if !ok || f != 0 && f != 1 {
			p.wrongType(path, "true or false", src)
		}
		dst.SetBool(f == 1)
	case reflect.Float64:
		f, ok := toFloat(src)
		if !ok {
			p.wrongType(path, "a number", src)
		}
		dst.SetFloat(f)
	case reflect.Int:
		n, ok := toInt(src)
		if !ok || dst.OverflowInt(n) {
			p.wrongType(path, "a whole number", src)
			return
		}
		dst.SetInt(n)
	}
}

// toInt converts a number as pydantic does for an int.
func toInt(src any) (int64, bool) {
	switch v := src.(type) {
	case int64:
		return v, true
	case string:
		whole, zeros, _ := strings.Cut(strings.TrimSpace(v), ".")
		n, err := strconv.ParseInt(whole, 10, 64)
		return n, err == nil && strings.Trim(zeros, "0") == ""
	}
	f, ok := toFloat(src)
	return int64(f), ok && f == math.Trunc(f) && math.Abs(f) < 1<<53
}

// toFloat converts a number as pydantic does for a float.
func toFloat(src any) (float64, bool) {
	switch v := src.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil && !strings.ContainsAny(v, "xX")
	}
	return 0, false
}

// wrongType reports the type of a value, never the value itself.
func (p *problems) wrongType(path, want string, src any) {
	got := "a number too large for 64 bits"
	switch src.(type) {
	case nil:
		got = "null; remove the key"
	case string:
		got = "a string"
	case bool:
		got = "a boolean"
	case int64:
		got = "a whole number"
	case float64:
		got = "a fraction or a number that large"
	case time.Time:
		got = "a date"
	case []any:
		got = "a list"
	case map[string]any:
		got = "a table"
	}
	p.add(path, "must be "+want+", not "+got)
}

// normal converts the values of the decoders to the types that the documentation of Extra lists.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = normal(e)
		}
	case []map[string]any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = normal(e)
		}
		return list
	case []any:
		for i, e := range v {
			v[i] = normal(e)
		}
	case json.Number:
		return number(v)
	}
	return v
}

// number returns an int64 if the number fits into one, otherwise a float64. For an integer of more than 64 bits, or a
// float that is out of range, it returns the number as it is written.
func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if f, err := n.Float64(); err == nil && strings.ContainsAny(n.String(), ".eE") {
		return f
	}
	return n
}
