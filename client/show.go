package client

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// show prints the fields of a struct that are set, as %+v does. It leaves out what may be secret: the values of
// variables and of arguments.
func show(v any) string {
	var b strings.Builder
	b.WriteByte('{')
	value := reflect.ValueOf(v)
	for i := range value.NumField() {
		field, name := value.Field(i), value.Type().Field(i).Name
		if field.IsZero() {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(' ')
		}
		b.WriteString(name + ":")
		switch v := field.Interface().(type) {
		case map[string]string: // Env
			fmt.Fprint(&b, slices.Sorted(maps.Keys(v)))
		case []string:
			switch name {
			case "Env":
				fmt.Fprint(&b, variables(v))
			case "Args", "ExtraArgs":
				fmt.Fprint(&b, flags(v))
			default:
				fmt.Fprint(&b, v)
			}
		case fmt.Formatter: // a type that hides its own secrets
			fmt.Fprint(&b, v)
		default:
			switch {
			case field.Kind() == reflect.Pointer && field.Elem().Kind() != reflect.Struct:
				fmt.Fprint(&b, field.Elem())
			case field.Kind() == reflect.Func, field.Kind() == reflect.Interface, field.Kind() == reflect.Pointer:
				fmt.Fprintf(&b, "%T", v)
			case field.Kind() == reflect.Slice:
				fmt.Fprintf(&b, "%d", field.Len())
			default:
				fmt.Fprint(&b, v)
			}
		}
	}
	b.WriteByte('}')
	return b.String()
}

// variables returns the names of the variables in an environment.
func variables(env []string) []string {
	names := make([]string, len(env))
	for i, entry := range env {
		names[i], _, _ = strings.Cut(entry, "=")
	}
	return names
}

// flags returns the arguments with only the names of flags; everything else becomes ***.
func flags(args []string) []string {
	shown := make([]string, len(args))
	for i, arg := range args {
		name, _, joined := strings.Cut(arg, "=")
		switch {
		case !strings.HasPrefix(arg, "-"), len(arg) > 2 && arg[1] != '-': // a value, or a short flag with its value, such as -kVALUE
			shown[i] = "***"
		case joined:
			shown[i] = name + "=***"
		default:
			shown[i] = arg
		}
	}
	return shown
}
