//go:build soak

package bridge_test

func init() { schedules, realSchedules, everyEvent, killed = 300, 30, 1, 5 }
