//go:build soak

package bridge_test

func init() { schedules = 300 }
