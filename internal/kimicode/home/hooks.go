package home

import (
	"fmt"
	"math"
	"slices"
)

// hookEvents are the events that Kimi Code knows.
var hookEvents = []string{
	"PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PermissionResult", "UserPromptSubmit", "UserPromptQueued",
	"TurnStarted", "Stop", "StopFailure", "Interrupt", "SessionStart", "SessionEnd", "SessionHeartbeat", "SubagentStart", "SubagentStop",
	"TaskStarted", "PreCompact", "PostCompact", "Notification",
}

// hooksOf returns the list of hooks of a config.toml. Its error says why Kimi Code would use none of them.
func hooksOf(value any) ([]any, error) {
	var list []any
	switch value := value.(type) {
	case nil:
		return nil, nil
	case []any:
		list = value
	case []map[string]any:
		for _, h := range value {
			list = append(list, h)
		}
	default:
		return nil, fmt.Errorf("hooks is not a list: write each as [[hooks]]")
	}
	for i, value := range list {
		h, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("hook %d is not a table", i+1)
		}
		if err := checkHook(h); err != nil {
			return nil, fmt.Errorf("hook %d: %w", i+1, err)
		}
	}
	return list, nil
}

// checkHook checks a hook by the rules of Kimi Code.
func checkHook(h map[string]any) error {
	for key, value := range h {
		switch key {
		case "event":
			if event, ok := value.(string); !ok || !slices.Contains(hookEvents, event) {
				return fmt.Errorf("there is no event %.40q", fmt.Sprint(value))
			}
		case "command":
			if command, ok := value.(string); !ok || command == "" {
				return fmt.Errorf("command must be a text that is not empty")
			}
		case "matcher":
			if _, ok := value.(string); !ok {
				return fmt.Errorf("matcher must be a text")
			}
		case "timeout":
			n, ok := value.(int64)
			if f, isFloat := value.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) <= 600 {
				n, ok = int64(f), true
			}
			if i, isInt := value.(int); isInt {
				n, ok = int64(i), true
			}
			if !ok || n < 1 || n > 600 {
				return fmt.Errorf("timeout must be a whole number of seconds from 1 to 600")
			}
		default:
			return fmt.Errorf("there is no key %.40q", key)
		}
	}
	for _, key := range []string{"event", "command"} {
		if h[key] == nil {
			return fmt.Errorf("%s is missing", key)
		}
	}
	return nil
}
